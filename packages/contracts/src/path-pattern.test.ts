import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesPathPattern } from './path-pattern.ts'

describe('path patterns', () => {
  it.each([
    ['/srv/app/tool', '/srv/app/tool', true],
    ['/srv/*/tool', '/srv/app/tool', true],
    ['/srv/*/tool', '/srv/app/deep/tool', false],
    ['/srv/**/tool', '/srv/app/deep/tool', true],
    ['/srv/**', '/srv/', true],
    ['/srv/**', '/srvx', false],
    ['/srv/*.jar', '/srv/a.jar', true],
    ['/srv/?.jar', '/srv/ab.jar', false],
    ['/srv/?', '/srv//', false],
    ['/srv', '/srv/app', false],
    ['/srv/(a+)+$', '/srv/aaaa', false],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(matchesPathPattern(pattern, path)).toBe(expected)
  })

  it('agree with regular expressions', () => {
    const text = (letters: string) => fc.string({ unit: fc.constantFrom(...letters), maxLength: 8 })
    fc.assert(
      fc.property(text('ab/*?'), text('ab/'), (pattern, path) => {
        const source = pattern.replace(/\*\*|\*|\?/g, (token) =>
          token === '**' ? '.*' : token === '*' ? '[^/]*' : '[^/]',
        )
        expect(matchesPathPattern(pattern, path)).toBe(new RegExp(`^${source}$`).test(path))
      }),
    )
  })

  it('take no longer for a hostile pattern', () => {
    expect(matchesPathPattern(`${'**a'.repeat(300)}b`, `/${'a'.repeat(4000)}`)).toBe(false)
  })
})
