import { createHash } from 'node:crypto'
import { AppError } from '@ringwall/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runPipeline } from '../engine.ts'
import { loadEngines } from '../engines.ts'
import { buildHashSets, createHashEngine, parseHashList } from './hash-set.ts'
import { type ContentPack, contentVersionOf, decodePack, encodePack } from './pack.ts'
import { countRules, createYaraEngine } from './yara.ts'

const content = Buffer.from('one content')
const sha256 = createHash('sha256').update(content).digest('hex')
const input = {
  content: { kind: 'bytes' as const, bytes: content },
  sha256,
  sizeBytes: content.length,
  earlier: [],
}

function codeOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error instanceof AppError ? { code: error.code, ...error.params } : error
  }
  return undefined
}

describe('the signature engine', () => {
  it('names the file of a rule that does not compile', () => {
    const rules = [
      { name: 'good.yar', source: 'rule good { condition: true }' },
      { name: 'bad.yar', source: 'rule bad { condition: $missing }' },
    ]
    expect(codeOf(() => createYaraEngine(rules, 'v'))).toMatchObject({
      code: 'rule_invalid',
      file: 'bad.yar',
    })
  })

  it('counts rules', () => {
    expect(
      countRules([{ name: 'a', source: 'rule a { condition: true }\nprivate rule b { condition: false }' }]),
    ).toBe(2)
  })
})

describe('hash lists', () => {
  it('finds exact contents by every algorithm', () => {
    for (const algorithm of ['md5', 'sha1', 'sha256']) {
      const hash = createHash(algorithm).update(content).digest('hex')
      const engine = createHashEngine(
        buildHashSets(parseHashList(`# comment\n\n${hash} Known thing\n`, 'list')),
        'v',
      )
      expect(engine.scan(input)).toMatchObject([
        { engine: 'hash', title: 'Known thing', rule: `${algorithm}:${hash}` },
      ])
    }
  })

  it('reads the lines of ClamAV lists', () => {
    expect(parseHashList(`${sha256}:11:Win.Thing-1:73`, 'x.hsb')).toEqual([
      { hash: sha256, name: 'Win.Thing-1' },
    ])
  })

  it('names the line that is wrong', () => {
    expect(codeOf(() => parseHashList('# fine\nnonsense', 'mine.txt'))).toMatchObject({
      code: 'list_invalid',
      list: 'mine.txt',
      line: 2,
    })
  })

  it('finds each hash of any set, and no other', () => {
    const hashes = fc.uniqueArray(fc.uint8Array({ minLength: 32, maxLength: 32 }), {
      maxLength: 200,
      selector: (bytes) => Buffer.from(bytes).toString('hex'),
    })
    fc.assert(
      fc.property(hashes, fc.uint8Array({ minLength: 32, maxLength: 32 }), (known, other) => {
        const [set] = buildHashSets(
          known.map((bytes) => ({
            hash: Buffer.from(bytes).toString('hex'),
            name: Buffer.from(bytes).toString('hex'),
          })),
        )
        for (const bytes of known) expect(set?.find(bytes)).toBe(Buffer.from(bytes).toString('hex'))
        if (!known.some((bytes) => Buffer.from(bytes).equals(Buffer.from(other))))
          expect(set?.find(other)).toBeUndefined()
      }),
      { numRuns: 50 },
    )
  })
})

describe('content packs', () => {
  const parts = {
    rules: [{ name: 'a.yar', source: 'rule a { condition: false }' }],
    hashLists: [{ name: 'h.txt', text: `${sha256} Thing\n` }],
  }
  const pack: ContentPack = { format: 1, version: contentVersionOf(parts), ...parts }

  it('come back as they were', () => {
    expect(decodePack(encodePack(pack))).toEqual(pack)
  })

  it('have another version when anything in them differs', () => {
    expect(contentVersionOf({ ...parts, hashLists: [] })).not.toBe(pack.version)
  })

  it('become engines that judge in order', () => {
    const loaded = loadEngines(pack)
    expect(loaded).toMatchObject({ version: pack.version, rules: 1, hashes: 1 })
    expect(
      runPipeline(loaded.engines, { content: input.content, sha256, sizeBytes: content.length }).findings,
    ).toHaveLength(1)
  })

  it('are refused with a clear error when they are anything else', () => {
    const good = encodePack(pack)
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .nat(good.length - 1)
        .map((at) => Buffer.concat([good.subarray(0, at), Buffer.from([0xaa]), good.subarray(at + 1)])),
      fc.nat(good.length - 1).map((at) => good.subarray(0, at)),
    )
    fc.assert(
      fc.property(damaged, (bytes) => {
        try {
          decodePack(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(AppError)
        }
      }),
    )
  })
})

describe('the pipeline', () => {
  it('keeps what others found when an engine fails, and says which one failed', () => {
    const finding = {
      engine: 'a',
      rule: 'r',
      title: 't',
      category: 'c',
      severity: 'malicious' as const,
      matches: [],
    }
    const seen: number[] = []
    const result = runPipeline(
      [
        { id: 'a', version: '1', scan: () => [finding] },
        {
          id: 'b',
          version: '1',
          scan: () => {
            throw new Error('boom')
          },
        },
        {
          id: 'c',
          version: '1',
          scan: ({ earlier }) => {
            seen.push(earlier.length)
            return []
          },
        },
      ],
      { content: input.content, sha256, sizeBytes: 1 },
    )
    expect(result).toEqual({ findings: [finding], failed: [{ engine: 'b', reason: 'boom' }] })
    expect(seen).toEqual([1])
  })
})
