import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodePath, encodePath } from './paths.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('encodePath', () => {
  it.each([
    ['/var/www/中文.php', '/var/www/中文.php'],
    ['/tmp/new\nline', '/tmp/new\\x0aline'],
    ['C:\\a', 'C:\\\\a'],
    ['/tmp/\u202egpj.exe', '/tmp/\\xe2\\x80\\xaegpj.exe'],
  ])('writes %j as %s', (path, expected) => {
    expect(encodePath(bytes(path))).toBe(expected)
  })

  it('escapes bytes that are not UTF-8 one by one', () => {
    expect(encodePath(Uint8Array.of(0x2f, 0xff, 0xc3, 0x28, 0xe4, 0xb8))).toBe('/\\xff\\xc3(\\xe4\\xb8')
  })

  it('gives back the same bytes, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (raw) => {
        expect(decodePath(encodePath(raw))).toEqual(Uint8Array.from(raw))
      }),
    )
  })

  it('gives back every UTF-8 text, byte order marks and literal escapes included', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ufeffa', '\\x41', '\\\\x41', '\\')),
        (text) => {
          expect(decodePath(encodePath(bytes(text)))).toEqual(bytes(text))
        },
      ),
    )
  })
})
