import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { AppError } from '@ringwall/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeFrame, encodeFrame } from './framing.ts'

const codeOf = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
  return undefined
}

describe('frames', () => {
  it('come back as they went, small as text and large compressed', () => {
    const large = { v: 1, type: 'events', body: 'x'.repeat(10_000) }
    expect(typeof encodeFrame({ v: 1 })).toBe('string')
    expect(encodeFrame(large).length).toBeLessThan(200)
    expect(decodeFrame(encodeFrame(large), { maxBytes: 20_000 })).toEqual(large)
  })

  it('refuse a decompression bomb without unpacking it', () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
    expect(codeOf(() => decodeFrame(bomb, { maxBytes: 1024 * 1024 }))).toBe('message_too_large')
  })

  it('refuse anything else with a catalogued error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['message_invalid', 'message_too_large']).toContain(
          codeOf(() => decodeFrame(bytes, { maxBytes: 100 })),
        )
      }),
    )
    expect(codeOf(() => decodeFrame(randomBytes(50).toString('base64'), { maxBytes: 1000 }))).toBe(
      'message_invalid',
    )
  })
})
