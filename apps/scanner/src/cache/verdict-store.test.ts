import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lookupCodes, type Verdict } from '@ringwall/contracts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VerdictStore } from './verdict-store.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'verdicts-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const hashOf = (text: string) => createHash('sha256').update(text).digest()
const verdictOf = (text: string, verdict: Verdict['verdict'] = 'clean'): Verdict => ({
  sha256: hashOf(text).toString('hex'),
  sizeBytes: text.length,
  verdict,
  contentVersion: 'v1',
  judgedAt: new Date(1_700_000_000_000).toISOString(),
  findings:
    verdict === 'malicious'
      ? [{ engine: 'signature', rule: 'r', title: 't', category: 'c', severity: 'malicious', matches: [] }]
      : [],
})

async function fill(count: number): Promise<void> {
  const store = VerdictStore.open(dir)
  store.useVersion('v1')
  await Promise.all(Array.from({ length: count }, (_, index) => store.put(verdictOf(`content ${index}`))))
  await store.put(verdictOf('bad', 'malicious'))
  // No close: what was put must be there for whoever comes after a kill.
}

describe('the verdict store', () => {
  it('has every verdict after a kill, with its findings', async () => {
    await fill(500)
    const store = VerdictStore.open(dir)
    store.useVersion('v1')
    for (let index = 0; index < 500; index += 1)
      expect(store.lookup(hashOf(`content ${index}`))).toBe(lookupCodes.clean)
    expect(store.verdict(hashOf('bad'))).toEqual(verdictOf('bad', 'malicious'))
    expect(store.lookup(hashOf('never seen'))).toBeUndefined()
    store.close()
  })

  it('knows nothing under another content version', async () => {
    await fill(3)
    const store = VerdictStore.open(dir)
    store.useVersion('v2')
    expect(store.lookup(hashOf('content 1'))).toBeUndefined()
    expect(store.lookup(hashOf('bad'))).toBeUndefined()
    store.useVersion('v1')
    expect(store.lookup(hashOf('content 1'))).toBe(lookupCodes.clean)
    store.close()
  })

  it('goes on after a record that was cut short', async () => {
    await fill(10)
    const path = join(dir, 'verdicts.log')
    truncateSync(path, readFileSync(path).length - 7)
    const store = VerdictStore.open(dir)
    store.useVersion('v1')
    expect(store.size).toBe(10)
    await store.put(verdictOf('after'))
    const again = VerdictStore.open(dir)
    again.useVersion('v1')
    expect(again.lookup(hashOf('after'))).toBe(lookupCodes.clean)
    expect(again.size).toBe(11)
  })

  it('does not believe a record that was altered', async () => {
    await fill(10)
    const path = join(dir, 'verdicts.log')
    const bytes = readFileSync(path)
    bytes[20] = (bytes[20] ?? 0) ^ 0xff
    writeFileSync(path, bytes)
    const store = VerdictStore.open(dir)
    store.useVersion('v1')
    expect(store.lookup(hashOf('content 0'))).toBeUndefined()
    expect(store.lookup(hashOf('content 5'))).toBe(lookupCodes.clean)
    store.close()
  })
})
