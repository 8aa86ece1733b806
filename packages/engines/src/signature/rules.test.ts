import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { createYaraEngine } from './yara.ts'

const folder = join(import.meta.dirname, '../../../../content/signatures')
const sources = readdirSync(folder).map((name) => ({
  name,
  source: readFileSync(join(folder, name), 'utf8'),
}))
const names = sources.flatMap(({ source }) =>
  [...source.matchAll(/^rule (\w+)/gm)].map((match) => match[1] ?? ''),
)

/** `rule hit|miss text`: the text is base64 of the compressed, reversed content, so that no scanner finds it here. */
const examples = readFileSync(join(import.meta.dirname, 'testdata/rules.in'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => {
    const [rule = '', kind = '', text = ''] = line.split(' ')
    return { rule, kind, bytes: inflateSync(Buffer.from(text, 'base64')).reverse() }
  })

const engine = createYaraEngine(sources, 'test')
const scan = (bytes: Uint8Array) =>
  engine.scan({
    content: { kind: 'bytes', bytes },
    sha256: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: bytes.length,
    earlier: [],
  })

describe('our own rules', () => {
  it('has examples of each rule, and of no other', () => {
    expect(names.length).toBeGreaterThanOrEqual(40)
    const of = (kind: string) => examples.filter((example) => example.kind === kind).map(({ rule }) => rule)
    expect(of('hit').sort()).toEqual([...names].sort())
    expect(of('miss').sort()).toEqual([...names].sort())
  })

  it.each(examples.filter(({ kind }) => kind === 'hit'))('$rule matches its example', ({ rule, bytes }) => {
    const found = scan(bytes).find((finding) => finding.rule === rule)
    expect(found).toMatchObject({
      engine: 'signature',
      severity: expect.stringMatching(/^(malicious|suspicious)$/),
    })
    expect(found?.title).not.toBe(rule)
    expect(found?.category).not.toBe('other')
  })

  it.each(examples.filter(({ kind }) => kind === 'miss'))(
    '$rule leaves its near miss alone',
    ({ rule, bytes }) => {
      expect(scan(bytes).map((finding) => finding.rule)).not.toContain(rule)
    },
  )

  it('matches none of its own source files', () => {
    for (const { source } of sources) expect(scan(Buffer.from(source))).toEqual([])
  })

  it('tells where and what it matched', () => {
    const eicar = examples.find(({ rule, kind }) => rule === 'eicar_test_file' && kind === 'hit')
    const [finding] = scan(eicar?.bytes ?? Buffer.alloc(0))
    expect(finding?.matches[0]).toMatchObject({ offset: 0, lengthBytes: 68, identifier: '$eicar' })
    expect(finding?.matches[0]?.excerpt).toMatch(/^X5O!P%@AP\[4/)
  })
})
