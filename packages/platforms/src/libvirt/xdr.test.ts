import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maxArrayItems, maxStringBytes, XdrReader, XdrWriter } from './xdr.ts'

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const i32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

describe('XDR', () => {
  it('reads back what it wrote, and nothing is left', () => {
    const values = fc.tuple(u32, i32, fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 40 }))
    fc.assert(
      fc.property(
        values,
        fc.option(i32),
        fc.array(u32, { maxLength: 20 }),
        ([a, b, text, raw], maybe, list) => {
          const writer = new XdrWriter().u32(a).i32(b).string(text).opaque(raw)
          writer.optional(maybe, (value) => writer.i32(value)).array(list, (item) => writer.u32(item))
          const reader = new XdrReader(writer.bytes())
          expect([
            reader.u32(),
            reader.i32(),
            reader.string(),
            new Uint8Array(reader.opaque(raw.length)),
          ]).toEqual([a, b, text, raw])
          expect(reader.optional(() => reader.i32())).toBe(maybe)
          expect(reader.array(() => reader.u32())).toEqual(list)
          expect(reader.leftBytes).toBe(0)
        },
      ),
    )
  })

  it('pads to whole words (RFC 4506 section 4.11)', () => {
    expect(new XdrWriter().string('hello').bytes().toString('hex')).toBe('0000000568656c6c6f000000')
  })

  it('ends in message_invalid or a value for any bytes, whatever is read', () => {
    const reads = fc.array(fc.constantFrom('u32', 'u64', 'string', 'array', 'optional', 'opaque'), {
      maxLength: 8,
    })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), reads, (bytes, names) => {
        const reader = new XdrReader(bytes)
        const actions: Record<string, () => unknown> = {
          u32: () => reader.u32(),
          u64: () => reader.u64(),
          string: () => reader.string(),
          array: () => reader.array(() => reader.string()),
          optional: () => reader.optional(() => reader.string()),
          opaque: () => reader.opaque(16),
        }
        try {
          for (const name of names) actions[name]?.()
          expect(reader.leftBytes).toBeGreaterThanOrEqual(0)
        } catch (error) {
          expect(error).toMatchObject({ code: 'message_invalid' })
        }
      }),
    )
  })

  it('does not believe counts and lengths that the bytes cannot hold', () => {
    const count = (value: number) => new XdrReader(new XdrWriter().u32(value).u32(0).bytes())
    expect(() => count(maxStringBytes + 1).string()).toThrow('a string of 4194305 bytes')
    expect(() => count(5).string()).toThrow('8 bytes wanted at offset 4, 4 left')
    expect(() => count(maxArrayItems + 1).array(() => 0)).toThrow('an array of 16385 items')
    expect(() => count(2).array(() => 0)).toThrow('an array of 2 items')
    expect(() => count(2).optional(() => 0)).toThrow('2 where 0 or 1')
  })
})
