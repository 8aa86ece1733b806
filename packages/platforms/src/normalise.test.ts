import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normaliseMac, normaliseUuid, swapUuid } from './normalise.ts'

describe('identities of machines', () => {
  it('are the same in every spelling', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        for (const spelling of [uuid, uuid.toUpperCase(), uuid.replaceAll('-', ''), `{${uuid}}`])
          expect(normaliseUuid(spelling)).toBe(uuid)
        expect(swapUuid(swapUuid(uuid))).toBe(uuid)
      }),
    )
    for (const spelling of ['52:54:00:aa:bb:01', '52-54-00-AA-BB-01', '525400aabb01', '5254.00aa.bb01'])
      expect(normaliseMac(spelling)).toBe('52:54:00:aa:bb:01')
    expect(swapUuid('564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6')).toBe('1a8c4d56-3c2b-5e4d-8f90-a1b2c3d4e5f6')
  })

  it('are none where they say nothing', () => {
    for (const digit of ['0', 'f'])
      for (const uuid of [
        digit.repeat(32),
        '8-4-4-4-12'.replace(/\d+/g, (size) => digit.repeat(Number(size))),
      ])
        expect(normaliseUuid(uuid)).toBeNull()
    for (const text of [null, undefined, '', 'none', '564d8c1a-2b3c-4d5e-8f90']) {
      expect(normaliseUuid(text)).toBeNull()
      expect(normaliseMac(text)).toBeNull()
    }
    expect(normaliseMac('00:00:00:00:00:00')).toBeNull()
  })
})
