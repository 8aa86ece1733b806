import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  packHashes,
  packHoldings,
  packVerdicts,
  unpackHashes,
  unpackHoldings,
  unpackVerdicts,
} from './packed-records.ts'

describe('packed records', () => {
  it('come back as they went', () => {
    const verdict = fc.record({
      sha256: fc.constant(0).map(() => randomBytes(32)),
      code: fc.integer({ min: 0, max: 255 }),
      version: fc.integer({ min: 0, max: 65_535 }),
      sizeBytes: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      judgedAtMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    })
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 20 }), (verdicts) => {
        expect(unpackVerdicts(packVerdicts(verdicts))).toEqual(verdicts)
        const hashes = verdicts.map(({ sha256 }) => sha256)
        expect(unpackHashes(packHashes(hashes))).toEqual(hashes)
        const holdings = verdicts.map(({ sha256, code }) => ({ prefix: sha256.subarray(0, 8), state: code }))
        expect(unpackHoldings(packHoldings(holdings))).toEqual(holdings)
      }),
    )
  })

  it('are refused when they are cut short', () => {
    const text = randomBytes(47).toString('base64')
    for (const unpack of [unpackVerdicts, unpackHashes, unpackHoldings])
      expect(() => unpack(text)).toThrow('no multiple')
  })
})
