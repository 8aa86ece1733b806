import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { changedParts, contentPartsOf, standingOf, versionOfParts } from './content-parts.ts'
import { engineVersions } from './engine-versions.ts'

const sha256 = 'a'.repeat(64)
const md5 = 'b'.repeat(32)
const content = {
  rules: [
    { name: 'one.yar', source: 'rule one { condition: false }' },
    { name: 'two.yar', source: 'rule two { condition: false }' },
  ],
  hashLists: [{ name: 'list.txt', text: `${sha256} Bad\n` }],
}
const parts = contentPartsOf(content)

describe('content parts', () => {
  it('name what changed', () => {
    const listed = contentPartsOf({
      ...content,
      hashLists: [{ name: 'list.txt', text: `${sha256} Bad\n${'c'.repeat(64)} Worse\n` }],
    })
    const legacy = contentPartsOf({
      ...content,
      hashLists: [...content.hashLists, { name: 'old.txt', text: `${md5} Old\n` }],
    })
    const ruled = contentPartsOf({
      ...content,
      rules: [{ name: 'one.yar', source: 'rule one { condition: true }' }],
    })
    expect(changedParts(parts, listed)).toEqual(['hashes'])
    expect(changedParts(parts, legacy)).toEqual(['legacyHashes'])
    expect(changedParts(parts, ruled)).toEqual(['rules:one.yar', 'rules:two.yar'])
    expect(changedParts(parts, { ...parts, engines: { ...parts.engines, ai: '2' } })).toEqual(['engines:ai'])
    expect(changedParts(null, parts)).toHaveLength(6)
  })

  it('tell what an older verdict is worth', () => {
    expect(standingOf(parts, parts)).toBe('current')
    expect(standingOf({ ...parts, hashes: 'other' }, parts)).toBe('current')
    expect(standingOf({ ...parts, legacyHashes: 'other' }, parts)).toBe('stale')
    expect(standingOf({ ...parts, rules: {} }, parts)).toBe('stale')
    expect(standingOf({ ...parts, engines: { hash: '0' } }, parts)).toBe('stale')
    expect(standingOf(null, parts)).toBe('unknown')
  })

  it('give one version to the same content, whatever the order of the rule files, and another to any change', () => {
    expect(versionOfParts(contentPartsOf({ ...content, rules: [...content.rules].reverse() }))).toBe(
      versionOfParts(parts),
    )
    expect(versionOfParts({ ...parts, engines: { ...parts.engines, hash: '2' } })).not.toBe(
      versionOfParts(parts),
    )
    expect(versionOfParts({ ...parts, legacyHashes: 'other' })).not.toBe(versionOfParts(parts))
  })

  it('follow the version of the rule library', () => {
    const path = createRequire(import.meta.url).resolve('@litko/yara-x/package.json')
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
    expect(engineVersions.signature).toBe(`yara-x-${version}`)
  })
})
