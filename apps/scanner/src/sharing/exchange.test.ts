import { createHash, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AppError,
  type ContentVersion,
  lookupCodes,
  sharingLimits,
  type UpMessages,
  type Verdict,
} from '@ringwall/contracts'
import { versionOfParts } from '@ringwall/engines'
import { type PackedVerdict, packHashes, packVerdicts, silentLogger, unpackVerdicts } from '@ringwall/runtime'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { VerdictStore } from '../cache/verdict-store.ts'
import { createExchange } from './exchange.ts'
import { createFlushes } from './flushes.ts'

const parts = { hashes: 'h', legacyHashes: 'l', rules: {}, engines: {} }
const content: ContentVersion = { version: versionOfParts(parts), parts }
const hashOf = (text: string) => createHash('sha256').update(text).digest()
const verdictOf = (text: string): Verdict => ({
  sha256: hashOf(text).toString('hex'),
  sizeBytes: 1,
  verdict: 'clean',
  contentVersion: content.version,
  judgedAt: '2026-01-01T00:00:00.000Z',
  findings: [],
})

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'exchange-'))
})
afterEach(() => rmSync(root, { recursive: true }))

/** A center in memory: a list of verdicts with who told them. */
function fakeCenter() {
  const told: (PackedVerdict & { by: string })[] = []
  const state = { told, isOnline: true, failures: 0, requests: 0, elsewhere: [] as Buffer[] }
  const linkOf = (by: string) => ({
    isOnline: () => state.isOnline,
    request: (async (type: string, body: never) => {
      state.requests += 1
      if (state.failures > 0) {
        state.failures -= 1
        throw new AppError('timeout', { what: 'center', timeoutMs: 1 })
      }
      if (type === 'verdicts') {
        const { records, generation, next } = body as UpMessages['verdicts']
        told.push(...unpackVerdicts(records).map((record) => ({ ...record, by })))
        return { generation, next }
      }
      const batch = (verdicts: PackedVerdict[]) => ({
        versions: [content],
        details: [],
        records: packVerdicts(verdicts),
      })
      if (type === 'verdicts.ask') {
        const { hashes } = body as UpMessages['verdicts.ask']
        const asked = Buffer.from(hashes, 'base64')
        const known = told.filter(({ sha256 }) => asked.includes(sha256))
        return { ...batch(known), elsewhere: packHashes(state.elsewhere) }
      }
      const { cursor } = body as UpMessages['verdicts.since']
      const page = told.slice(cursor, cursor + 100)
      const isLast = cursor + page.length === told.length
      return { ...batch(page.filter((one) => one.by !== by)), cursor: cursor + page.length, isLast }
    }) as never,
  })
  return { ...state, state, linkOf }
}

function openScanner(name: string, center: ReturnType<typeof fakeCenter>) {
  const dir = join(root, name)
  const store = VerdictStore.open(dir)
  void store.useContent(content, undefined)
  const known: string[] = []
  const exchange = createExchange({
    store,
    dir,
    link: () => center.linkOf(name),
    logger: silentLogger,
    onKnown: (sha256) => known.push(sha256),
  })
  return { store, exchange, known, dir }
}

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 5))
}
const put = async (store: VerdictStore, name: string, count: number) =>
  await Promise.all(Array.from({ length: count }, (_, index) => store.put(verdictOf(`${name} ${index}`))))

it('brings what one scanner judged to the other, over failures and restarts, and tells nothing twice', async () => {
  const center = fakeCenter()
  const one = openScanner('one', center)
  const two = openScanner('two', center)
  await put(one.store, 'one', sharingLimits.maxVerdicts + 500)
  center.state.failures = 1
  one.exchange.sync()
  await until(() => center.state.failures === 0)
  await until(() => {
    one.exchange.sync()
    return one.store.figures.unsent === 0
  })
  expect(center.state.told).toHaveLength(sharingLimits.maxVerdicts + 500)
  two.exchange.onNews({ cursor: 1 })
  await until(() => two.store.size === sharingLimits.maxVerdicts + 500)
  expect(two.store.lookup(hashOf('one 4200'))).toBe(lookupCodes.clean)
  expect(two.known).toContain(hashOf('one 4200').toString('hex'))
  two.exchange.sync()
  await until(() => two.store.figures.unsent === 0)
  expect(center.state.told).toHaveLength(sharingLimits.maxVerdicts + 500)
  const again = openScanner('two', center)
  await until(() => again.exchange.figures().cursor === center.state.told.length)
  await put(one.store, 'later', 3)
  one.exchange.sync()
  await until(() => one.store.figures.unsent === 0)
  again.exchange.onNews({ cursor: center.state.told.length })
  await until(() => again.store.lookup(hashOf('later 2')) === lookupCodes.clean)
  expect(again.exchange.figures().received).toBe(3)
})

it('asks for strangers, and works alone without a center or when that is slow', async () => {
  const center = fakeCenter()
  const one = openScanner('one', center)
  const two = openScanner('two', center)
  await put(one.store, 'one', 5)
  one.exchange.sync()
  await until(() => one.store.figures.unsent === 0)
  center.state.elsewhere = [hashOf('under way')]
  const asked = await two.exchange.ask([hashOf('one 3'), hashOf('under way'), hashOf('nobody knows')])
  expect(asked).toEqual({ taken: 1, elsewhere: new Set([hashOf('under way').toString('hex')]) })
  expect(two.store.lookup(hashOf('one 3'))).toBe(lookupCodes.clean)
  const nothing = { taken: 0, elsewhere: new Set() }
  center.state.failures = 1
  expect(await two.exchange.ask([hashOf('one 4')])).toEqual(nothing)
  center.state.isOnline = false
  const before = center.state.requests
  expect(await two.exchange.ask([hashOf('one 4')])).toEqual(nothing)
  two.exchange.sync()
  expect(center.state.requests).toBe(before)
})

it('forgets on order, each order once, and a new scanner passes over old orders', async () => {
  const { store, dir } = openScanner('one', fakeCenter())
  await put(store, 'one', 3)
  const sha256 = hashOf('one 1').toString('hex')
  const flushes = createFlushes({ store, dir, logger: silentLogger })
  await flushes.apply([{ number: 7, what: { kind: 'hash', sha256 } }])
  expect(store.size).toBe(2)
  await store.put(verdictOf('one 1'))
  const again = createFlushes({ store, dir, logger: silentLogger })
  await again.apply([{ number: 7, what: { kind: 'hash', sha256 } }])
  expect(store.size).toBe(3)
  await again.apply([{ number: 8, what: { kind: 'all' } }])
  expect([store.size, again.number()]).toEqual([0, 8])
  const fresh = openScanner(randomUUID(), fakeCenter())
  const late = createFlushes({ store: fresh.store, dir: fresh.dir, logger: silentLogger })
  await late.apply([{ number: 8, what: { kind: 'all' } }])
  expect(late.number()).toBe(8)
})
