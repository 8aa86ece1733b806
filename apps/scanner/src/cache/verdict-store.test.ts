import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ContentParts, lookupCodes, type Verdict } from '@ringwall/contracts'
import { sha256Set, versionOfParts } from '@ringwall/engines'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VerdictStore } from './verdict-store.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'verdicts-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const parts: ContentParts = {
  hashes: 'h1',
  legacyHashes: 'l1',
  rules: { 'a.yar': 'r1' },
  engines: { hash: '1' },
}
const content = (changes: Partial<ContentParts> = {}) => {
  const changed = { ...parts, ...changes }
  return { version: versionOfParts(changed), parts: changed }
}
const otherLists = content({ hashes: 'h2' })
const otherRules = content({ rules: { 'a.yar': 'r2' } })
const limits = { maxRecords: 1000, maxDetails: 200, maxDetailChars: 100_000 }

const hashOf = (text: string) => createHash('sha256').update(text).digest()
const verdictOf = (
  text: string,
  verdict: Verdict['verdict'] = 'clean',
  judgedAtMs = 1_700_000_000_000,
): Verdict => ({
  sha256: hashOf(text).toString('hex'),
  sizeBytes: text.length,
  verdict,
  contentVersion: content().version,
  judgedAt: new Date(judgedAtMs).toISOString(),
  findings:
    verdict === 'malicious'
      ? [{ engine: 'signature', rule: 'r', title: 't', category: 'c', severity: 'malicious', matches: [] }]
      : [],
})
const open = (maxEntries?: number, used = content()) => {
  const store = VerdictStore.open(dir, maxEntries === undefined ? {} : { maxEntries })
  void store.useContent(used, undefined)
  return store
}

async function fill(count: number): Promise<void> {
  const store = open()
  await Promise.all(Array.from({ length: count }, (_, index) => store.put(verdictOf(`content ${index}`))))
  await store.put(verdictOf('bad', 'malicious'))
  // No close: what was put must be there for whoever comes after a kill.
}

describe('the verdict store', () => {
  it('has every verdict after a kill, with its findings', async () => {
    await fill(500)
    const store = open()
    for (let index = 0; index < 500; index += 1)
      expect(store.lookup(hashOf(`content ${index}`))).toBe(lookupCodes.clean)
    expect(store.verdict(hashOf('bad'))).toEqual(verdictOf('bad', 'malicious'))
    expect(store.verdict(hashOf('content 7'))).toEqual(verdictOf('content 7'))
    expect(store.lookup(hashOf('never seen'))).toBeUndefined()
    store.close()
  })

  it('goes on after a record that was cut short', async () => {
    await fill(10)
    const path = join(dir, 'verdicts.log')
    truncateSync(path, readFileSync(path).length - 7)
    const store = open()
    expect(store.size).toBe(10)
    await store.put(verdictOf('after'))
    const again = open()
    expect(again.lookup(hashOf('after'))).toBe(lookupCodes.clean)
    expect(again.size).toBe(11)
  })

  it('does not believe a record that was altered', async () => {
    await fill(10)
    const path = join(dir, 'verdicts.log')
    const bytes = readFileSync(path)
    bytes[20] = (bytes[20] ?? 0) ^ 0xff
    writeFileSync(path, bytes)
    const store = open()
    expect(store.lookup(hashOf('content 0'))).toBeUndefined()
    expect(store.lookup(hashOf('content 5'))).toBe(lookupCodes.clean)
    store.close()
  })

  it('reads the versions of a store from before they had parts, and believes none of its verdicts', async () => {
    await fill(2)
    writeFileSync(join(dir, 'versions.json'), JSON.stringify(['v1']))
    const store = open()
    expect(store.size).toBe(3)
    expect(store.lookup(hashOf('content 1'))).toBeUndefined()
    store.close()
  })
})

describe('when the content changes', () => {
  it('tells the verdict of a listed content at once, before it is written', async () => {
    const store = open()
    const list = `${hashOf('listed').toString('hex')} Listed\n`
    await store.useContent(otherLists, sha256Set({ hashLists: [{ name: 'list', text: list }] }))
    expect(store.lookup(hashOf('listed'))).toBe(lookupCodes.malicious)
    expect(store.verdict(hashOf('listed'))).toMatchObject({
      verdict: 'malicious',
      findings: [{ engine: 'hash', title: 'Listed' }],
    })
    expect(store.verdict(hashOf('another'))).toBeUndefined()
    store.close()
  })

  it('keeps clean verdicts as they are under other lists, and asks the lists at once', async () => {
    await fill(3)
    const store = open()
    const list = `${hashOf('content 1').toString('hex')} Listed\n${hashOf('unseen').toString('hex')} Unseen\n`
    await store.useContent(otherLists, sha256Set({ hashLists: [{ name: 'list', text: list }] }))
    expect(store.lookup(hashOf('content 0'), 0, true)).toBe(lookupCodes.clean)
    expect(store.lookup(hashOf('content 1'))).toBe(lookupCodes.malicious)
    expect(store.verdict(hashOf('content 1'))).toMatchObject({
      contentVersion: otherLists.version,
      sizeBytes: 9,
      findings: [{ engine: 'hash', title: 'Listed' }],
    })
    expect(store.lookup(hashOf('unseen'))).toBe(lookupCodes.malicious)
    expect(store.lookup(hashOf('bad'))).toBeUndefined()
    store.close()
  })

  it('keeps clean verdicts in use as stale under other rules, and judges the rest anew', async () => {
    await fill(2)
    const store = open(undefined, otherRules)
    await store.put({ ...verdictOf('partly', 'partial'), reason: 'timeout' })
    expect(store.lookup(hashOf('content 1'))).toBe(lookupCodes.clean)
    expect(store.lookup(hashOf('content 1'), 0, true)).toBeUndefined()
    expect(store.lookup(hashOf('bad'))).toBeUndefined()
    await store.maintain(1_700_000_000_000)
    expect(store.figures).toMatchObject({ staleEntries: 2, ages: [4, 0, 0, 0, 0] })
    await store.put(verdictOf('content 1'))
    expect(store.lookup(hashOf('content 1'), 0, true)).toBe(lookupCodes.clean)
    await store.useContent(content(), undefined)
    expect(store.lookup(hashOf('partly'))).toBeUndefined()
    expect(store.lookup(hashOf('bad'))).toBe(lookupCodes.malicious)
    store.close()
  })
})

describe('sharing', () => {
  it('offers own verdicts until they are committed, over a restart, and never what came from others', async () => {
    await fill(5)
    const store = open()
    await store.receive(
      [
        {
          sha256: hashOf('foreign'),
          code: lookupCodes.clean,
          version: 0,
          sizeBytes: 3,
          judgedAtMs: 1_700_000_000_000,
        },
      ],
      [],
      [content()],
    )
    expect(store.lookup(hashOf('foreign'))).toBe(lookupCodes.clean)
    const first = store.unsent({ ...limits, maxRecords: 4 })
    expect(first).toMatchObject({ next: 4, details: [] })
    expect(first?.records).toHaveLength(4)
    store.acknowledge('another generation', 4)
    expect(store.figures.unsent).toBe(7)
    store.acknowledge(first?.generation ?? '', 4)
    const again = open()
    const rest = again.unsent(limits)
    expect(rest?.records.map(({ sha256 }) => sha256)).toEqual([hashOf('content 4'), hashOf('bad')])
    expect(rest?.details).toEqual([verdictOf('bad', 'malicious')])
    again.acknowledge(rest?.generation ?? '', rest?.next ?? 0)
    expect(again.unsent(limits)).toBeUndefined()
    again.close()
  })

  it('does not let an older verdict of another scanner replace a newer one', async () => {
    const store = open()
    await store.put(verdictOf('content', 'malicious'))
    const old = {
      sha256: hashOf('content'),
      code: lookupCodes.clean,
      version: 0,
      sizeBytes: 7,
      judgedAtMs: 5,
    }
    expect(await store.receive([old], [], [content()])).toBe(0)
    expect(store.lookup(hashOf('content'))).toBe(lookupCodes.malicious)
    store.close()
  })
})

describe('keeping within bounds', () => {
  it('forgets on order, durably', async () => {
    await fill(5)
    const store = open()
    await store.forget({ kind: 'hash', sha256: hashOf('content 1').toString('hex') })
    expect(store.lookup(hashOf('content 1'))).toBeUndefined()
    await store.forget({ kind: 'versions', versions: ['another'] })
    expect(open().size).toBe(5)
    await store.forget({ kind: 'versions', versions: [content().version] })
    expect(store.size).toBe(0)
    expect(open().size).toBe(0)
    expect(open().verdict(hashOf('bad'))).toBeUndefined()
    store.close()
  })

  it('drops the oldest beyond the limit and shrinks its log', async () => {
    const store = open(1000)
    const putAll = async (name: string, judgedAtMs: number) =>
      await Promise.all(
        Array.from({ length: 800 }, (_, index) =>
          store.put(verdictOf(`${name} ${index}`, 'clean', judgedAtMs)),
        ),
      )
    await putAll('old', 1_600_000_000_000)
    await putAll('new', 1_700_000_000_000)
    const before = statSync(join(dir, 'verdicts.log')).size
    await store.maintain(1_700_000_000_000)
    expect(store.size).toBeLessThanOrEqual(900)
    expect(store.size).toBeGreaterThanOrEqual(800)
    for (let index = 0; index < 800; index += 1)
      expect(store.lookup(hashOf(`new ${index}`))).toBe(lookupCodes.clean)
    expect(statSync(join(dir, 'verdicts.log')).size).toBeLessThan(before)
    expect(open().size).toBe(store.size)
    store.close()
  })

  it('loses nothing that is put while the log is written anew', async () => {
    await fill(3000)
    const store = open()
    const first = store.unsent({ ...limits, maxRecords: 100 })
    store.acknowledge(first?.generation ?? '', 100)
    await Promise.all(
      Array.from({ length: 3000 }, (_, index) => store.put(verdictOf(`content ${index}`, 'partial'))),
    )
    const late = Array.from({ length: 300 }, (_, index) => index)
    await Promise.all([
      store.compact(),
      ...late.map(async (index) => await store.put(verdictOf(`late ${index}`, 'malicious'))),
    ])
    const again = open()
    expect(again.size).toBe(3301)
    expect(again.verdict(hashOf('late 299'))).toEqual(verdictOf('late 299', 'malicious'))
    const told = new Set<string>()
    for (let batch = again.unsent(limits); batch !== undefined; batch = again.unsent(limits)) {
      for (const { sha256 } of batch.records) told.add(sha256.toString('hex'))
      again.acknowledge(batch.generation, batch.next)
    }
    expect(told.size).toBe(3301)
    again.close()
  })
})
