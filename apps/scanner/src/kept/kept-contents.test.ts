import { createHash } from 'node:crypto'
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LookupCode, lookupCodes } from '@ringwall/contracts'
import { silentLogger } from '@ringwall/runtime'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { judgeKept } from './judge-kept.ts'
import { type KeptContents, openKeptContents } from './kept-contents.ts'

const capBytes = 1024 * 1024
let dir: string
let opened: KeptContents[]
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kept-'))
  opened = []
})
afterEach(() => {
  for (const kept of opened) kept.close()
  rmSync(dir, { recursive: true })
})

function openKept(cap = capBytes): KeptContents {
  const kept = openKeptContents(dir, { capBytes: cap, maxContentBytes: 64 * 1024, logger: silentLogger })
  opened.push(kept)
  return kept
}
const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
const keep = (kept: KeptContents, bytes: Buffer) => kept.keep(hashOf(bytes), bytes)
const content = (index: number, sizeBytes = 10_000) => Buffer.alloc(sizeBytes, `content ${index} `)
/** What can be read, in order. */
async function readAll(kept: KeptContents): Promise<string[]> {
  const names: string[] = []
  for await (const { sha256, read } of kept.all()) {
    const bytes = await read()
    if (bytes === undefined) continue
    expect(hashOf(bytes)).toEqual(sha256)
    names.push(bytes.toString('utf8', 0, 12).trim())
  }
  return names
}
const files = () => readdirSync(dir).sort()

describe('kept contents', () => {
  it('come back after a restart, in a folder and files that nobody else can read and nobody can run', async () => {
    const first = openKept()
    for (let index = 0; index < 3; index += 1) keep(first, content(index))
    // Another process, after a kill.
    const second = openKept()
    keep(second, content(3))
    expect(await readAll(second)).toEqual(['content 3 co', 'content 0 co', 'content 1 co', 'content 2 co'])
    expect(second.figures()).toEqual({ keptBytes: 4 * 10_036, maxKeptBytes: capBytes })
    expect(statSync(dir).mode & 0o077).toBe(0o700 & 0o077)
    for (const name of files()) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
  })

  it('go by age when the budget is used up, and the budget holds', async () => {
    const kept = openKept()
    for (let index = 0; index < 300; index += 1) {
      keep(kept, content(index))
      const bytes = files().reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
      expect(bytes).toBeLessThanOrEqual(capBytes)
      expect(kept.figures().keptBytes).toBe(bytes)
    }
    const left = await readAll(kept)
    expect(left.length).toBeGreaterThan(80)
    expect(left).toContain('content 299')
    expect(left).not.toContain('content 1 co')
    // A smaller budget is kept to at once; none keeps nothing.
    expect(openKept(200_000).figures().keptBytes).toBeLessThanOrEqual(200_000)
    const none = openKept(0)
    keep(none, content(1))
    expect(none.figures()).toEqual({ keptBytes: 0, maxKeptBytes: 0 })
    expect(files()).toEqual([])
  })

  it('that were cut short or altered are not given out, and hide nothing of other files', async () => {
    const first = openKept()
    for (let index = 0; index < 3; index += 1) keep(first, content(index))
    const [name = ''] = files()
    truncateSync(join(dir, name), 25_000)
    const second = openKept()
    keep(second, content(3))
    expect(await readAll(second)).toEqual(['content 3 co', 'content 0 co', 'content 1 co'])
    const bytes = readFileSync(join(dir, name))
    bytes[100] = (bytes[100] ?? 0) ^ 1
    writeFileSync(join(dir, name), bytes)
    expect(await readAll(second)).toEqual(['content 3 co', 'content 1 co'])
  })

  it('are nothing that a file of any bytes could pass for', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.nat(60), async (bytes, at) => {
        rmSync(dir, { recursive: true })
        const kept = openKept()
        keep(kept, content(0, 20))
        const [name = ''] = files()
        truncateSync(join(dir, name), Math.min(at, 56))
        appendFileSync(join(dir, name), bytes)
        const read = await readAll(openKept())
        expect(['', 'content 0 co']).toContain(read.join())
      }),
      { numRuns: 60 },
    )
  })
})

describe('judging again', () => {
  it('takes what was clean under an older content, each once, and waits for agents', async () => {
    const kept = openKept()
    const contents = [0, 1, 2, 3].map((index) => content(index, 1000))
    for (const bytes of [...contents, contents[1] ?? Buffer.alloc(0)]) keep(kept, bytes)
    const hex = (index: number) => hashOf(contents[index] ?? Buffer.alloc(0)).toString('hex')
    // 0 and 1 are stale, 2 is fresh, 3 was forgotten.
    const fresh = new Set([hex(2)])
    const known = new Set([hex(0), hex(1), hex(2)])
    const judged: string[] = []
    let busy = 3
    const count = await judgeKept({
      kept,
      store: {
        lookup: (source: Buffer, _at = 0, isFresh = false): LookupCode | undefined =>
          (isFresh ? fresh : known).has(source.toString('hex')) ? lookupCodes.clean : undefined,
      },
      judge: {
        isUnderWay: () => false,
        begin: () => undefined,
        judge: async ({ sha256 }) => {
          expect(busy).toBe(0)
          judged.push(sha256.toString('hex'))
          fresh.add(sha256.toString('hex'))
          return { code: lookupCodes.clean, verdict: undefined }
        },
      },
      isBusy: () => {
        busy = Math.max(0, busy - 1)
        return busy > 0
      },
      signal: new AbortController().signal,
    })
    expect(judged).toEqual([hex(0), hex(1)])
    expect(count).toBe(2)
  })
})
