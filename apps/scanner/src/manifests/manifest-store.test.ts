import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openManifestStore } from './manifest-store.ts'

const fsId = 'f'.repeat(32)
const parent = '0198c0de-0000-7000-8000-000000000001'
const other = '0198c0de-0000-7000-8000-000000000002'
const child = '0198c0de-0000-7000-8000-000000000003'
const sampleFrom = (first: number) =>
  Array.from({ length: 32 }, (_, index) => (first + index).toString(16).padStart(24, '0'))

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manifests-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function put(
  store: ReturnType<typeof openManifestStore>,
  machineId: string,
  first: number,
  atMs = 1,
  body = 'body',
): void {
  const part = store.partPath(machineId, fsId)
  writeFileSync(part, body)
  store.keep(part, {
    machineId,
    fsId,
    sample: sampleFrom(first),
    signature: 'signature',
    certificatePem: 'certificate',
    sizeBytes: body.length,
    receivedAtMs: atMs,
  })
}

describe('manifests for clones', () => {
  it('are given to who has the same files: the parent’s, or those of the machine most alike', () => {
    const store = openManifestStore(dir, 1000)
    put(store, parent, 0)
    put(store, other, 4)
    expect(store.match(fsId, sampleFrom(0), parent, child)?.machineId).toBe(parent)
    expect(store.match(fsId, sampleFrom(5), null, child)?.machineId).toBe(other)
    expect(store.match(fsId, sampleFrom(5), parent, child)?.machineId).toBe(parent)
    expect(store.match(fsId, sampleFrom(1000), parent, child)).toBeUndefined()
    expect(store.match('0'.repeat(32), sampleFrom(0), parent, child)).toBeUndefined()
    // Its own it has already.
    expect(store.match(fsId, sampleFrom(0), null, parent)?.machineId).toBe(other)
  })

  it('are there after a restart, the newest of each, and never half of one', () => {
    const store = openManifestStore(dir, 1000)
    put(store, parent, 0, 1, 'old')
    put(store, parent, 0, 2, 'newer')
    put(store, other, 0, 3)
    writeFileSync(join(dir, `${other}.${fsId}.packed`), 'cut')
    writeFileSync(join(dir, `${child}.${fsId}.abc.part`), 'rest')
    const again = openManifestStore(dir, 1000)
    expect(again.figures).toEqual({ manifests: 1, manifestBytes: 5 })
    const found = again.match(fsId, sampleFrom(0), null, child)
    expect(readFileSync(found?.path ?? '', 'utf8')).toBe('newer')
  })

  it('stay within their budget: the oldest go', () => {
    const store = openManifestStore(dir, 10)
    put(store, parent, 0, 1, '123456')
    put(store, other, 0, 2, '123456')
    expect(store.match(fsId, sampleFrom(0), parent, child)).toBeUndefined()
    expect(store.match(fsId, sampleFrom(0), other, child)).toBeDefined()
  })
})
