/** What a store has when it is opened again, after whatever happened to the program or to its snapshot. */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lookupCodes, type Verdict } from '@ringwall/contracts'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VerdictStore } from './verdict-store.ts'

let root: string
let dir: string
let snapshotPath: string
let logPath: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'verdict-starts-'))
  dir = join(root, 'verdicts')
  snapshotPath = join(dir, 'table.snapshot')
  logPath = join(dir, 'verdicts.log')
})
afterEach(() => rmSync(root, { recursive: true }))

const parts = { hashes: 'h1', legacyHashes: 'l1', rules: {}, engines: { hash: '1' } }
const hashOf = (text: string) => createHash('sha256').update(text).digest()
const verdictOf = (text: string, verdict: Verdict['verdict'] = 'clean'): Verdict => ({
  sha256: hashOf(text).toString('hex'),
  sizeBytes: text.length,
  verdict,
  contentVersion: 'v1',
  judgedAt: new Date(1_700_000_000_000).toISOString(),
  findings: [],
})
const open = (at = dir) => {
  const store = VerdictStore.open(at)
  void store.useContent({ version: 'v1', parts }, undefined)
  return store
}
const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix} ${index}`)
const putAll = async (store: VerdictStore, texts: string[]) =>
  await Promise.all(texts.map(async (text) => await store.put(verdictOf(text))))
const isKnown = (store: VerdictStore) => (text: string) => store.lookup(hashOf(text)) === lookupCodes.clean

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

/** 300 verdicts in the snapshot, three changed after it and one forgotten. */
async function fill(): Promise<void> {
  const store = open()
  await putAll(store, names('early', 300))
  await store.snapshot()
  await putAll(store, names('late', 3))
  await store.put(verdictOf('early 7', 'partial'))
  await store.forget({ kind: 'hash', sha256: hashOf('early 8').toString('hex') })
  store.close()
}

function expectAll(store: VerdictStore): void {
  expect(store.size).toBe(302)
  expect(store.lookup(hashOf('early 7'))).toBe(lookupCodes.partial)
  expect(store.lookup(hashOf('early 8'))).toBeUndefined()
  const clean = [...names('early', 300), ...names('late', 3)].filter(isKnown(store))
  expect(clean).toHaveLength(301)
}

describe('a start', () => {
  it('takes the snapshot and what came after it', async () => {
    await fill()
    expectAll(open())
    // A record that only the snapshot still has: the log before the mark is not read.
    flip(logPath, 0)
    expectAll(open())
  })

  it('takes the log when the snapshot is gone, cut or altered, and loses nothing', async () => {
    await fill()
    const whole = readFileSync(snapshotPath)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), fc.boolean(), (at, isCut) => {
        writeFileSync(snapshotPath, whole)
        if (isCut) truncateSync(snapshotPath, at)
        else flip(snapshotPath, at)
        const store = open()
        expectAll(store)
        store.close()
        expect(existsSync(snapshotPath)).toBe(false)
      }),
      { numRuns: 20 },
    )
    expectAll(open())
  })

  it('takes no snapshot of another log, now or when this one has grown', async () => {
    await fill()
    rmSync(logPath)
    expect(open().size).toBe(0)
    const store = open()
    await putAll(store, names('other', 400))
    expect(open().size).toBe(400)
  })

  it('follows a log that was written anew', async () => {
    await fill()
    const store = open()
    await store.compact()
    expect(existsSync(snapshotPath)).toBe(false)
    expectAll(open())
    await store.snapshot()
    expectAll(open())
    await store.forget({ kind: 'all' })
    expect(open().size).toBe(0)
  })

  it('has everything acknowledged after a kill at any moment of snapshots, puts and a new log', async () => {
    const store = open()
    const acknowledged: string[] = []
    const images: { path: string; acknowledged: string[] }[] = []
    let isBusy = true
    let tidied = 0
    const keepPutting = async () => {
      for (let round = 0; isBusy; round += 1)
        for (const text of names(`round ${round}`, 20)) {
          await store.put(verdictOf(text))
          acknowledged.push(text)
        }
    }
    // What a kill leaves is what the files are at that moment.
    const takeImages = async () => {
      while (images.length < 30 || tidied < 6) {
        const path = join(root, `image ${images.length}`)
        images.push({ path, acknowledged: [...acknowledged] })
        cpSync(dir, path, { recursive: true })
        for (let pause = Math.random() * 400; pause > 0; pause -= 1) await new Promise(setImmediate)
      }
      isBusy = false
    }
    const keepTidying = async () => {
      for (; isBusy; tidied += 1) {
        await store.snapshot()
        if (tidied % 3 === 2) await store.compact()
      }
    }
    await Promise.all([keepPutting(), keepTidying(), takeImages()])
    for (const { path, acknowledged: wanted } of images) {
      const image = open(path)
      expect(wanted.filter((text) => !isKnown(image)(text))).toEqual([])
      image.close()
    }
    expect(images.filter(({ path }) => existsSync(join(path, 'table.snapshot'))).length).toBeGreaterThan(0)
    expect(acknowledged.length).toBeGreaterThan(0)
  })
})

describe('tidying', () => {
  it('takes a snapshot when the log behind the last one has grown, and not before', async () => {
    const openEager = () => {
      const store = VerdictStore.open(dir, { snapshotAfterRecords: 50 })
      void store.useContent({ version: 'v1', parts }, undefined)
      return store
    }
    const store = openEager()
    await putAll(store, names('early', 50))
    await store.maintain(Date.now())
    expect(existsSync(snapshotPath)).toBe(false)
    await putAll(store, names('late', 950))
    await store.maintain(Date.now())
    expect(existsSync(snapshotPath)).toBe(true)
    const again = openEager()
    expect(again.size).toBe(1000)
    rmSync(snapshotPath)
    // An eighth of the entries, too: starts of large tables take longer anyway.
    await putAll(again, names('later', 120))
    await again.maintain(Date.now())
    expect(existsSync(snapshotPath)).toBe(false)
    await putAll(again, names('latest', 40))
    await again.maintain(Date.now())
    expect(existsSync(snapshotPath)).toBe(true)
  })
})
