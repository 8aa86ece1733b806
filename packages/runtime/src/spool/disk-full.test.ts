import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { writeFileAtomic } from '../atomic-file.ts'
import { Spool } from './spool.ts'

/** Bytes that the disk still takes. */
const disk = vi.hoisted(() => ({ leftBytes: Number.POSITIVE_INFINITY }))

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>()
  return {
    ...fs,
    writeSync: (file: number, bytes: Uint8Array, offset = 0, length = bytes.length - offset, at?: number) => {
      const taken = Math.min(length, disk.leftBytes)
      if (taken <= 0 && length > 0)
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      disk.leftBytes -= taken
      return fs.writeSync(file, bytes, offset, taken, at)
    },
  }
})

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringwall-full-'))
})
afterEach(() => {
  disk.leftBytes = Number.POSITIVE_INFINITY
  rmSync(dir, { recursive: true, force: true })
})

const open = (capBytes = 1e9) => Spool.open({ dir, capBytes, segmentBytes: 1000 })
const seqs = (spool: Spool) => {
  const found: number[] = []
  for (;;) {
    const { records } = spool.read({ afterSeq: found.at(-1) ?? 0, maxBytes: 1e6, maxRecords: 1000 })
    if (records.length === 0) return found
    found.push(...records.map((record) => record.seq))
  }
}
const codeOf = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
  return undefined
}

it.each([0, 1, 60, 150, 1500, 4321])(
  'a disk that is full after %d bytes loses nothing that was taken, and works again with space',
  (leftBytes) => {
    const spool = open()
    const taken = [1, 2, 3].map(() => spool.append('alert', Buffer.alloc(100)))
    disk.leftBytes = leftBytes
    for (let index = 0; index < 60; index += 1)
      try {
        taken.push(spool.append('alert', Buffer.alloc(100)))
      } catch (error) {
        expect(error).toMatchObject({ code: 'disk_full', params: { path: dir } })
      }
    expect(seqs(spool)).toEqual(taken)
    const crashed = open()
    expect(seqs(crashed)).toEqual(taken)
    disk.leftBytes = Number.POSITIVE_INFINITY
    taken.push(crashed.append('alert', Buffer.alloc(100)))
    expect(seqs(crashed)).toEqual(taken)
    expect(new Set(taken).size).toBe(taken.length)
    expect(crashed.takeGaps()).toEqual([])
  },
)

it('acknowledged segments go also when the disk is full', () => {
  const spool = open()
  const taken = Array.from({ length: 30 }, () => spool.append('event', Buffer.alloc(100)))
  disk.leftBytes = 0
  spool.ack(spool.epoch, taken.at(-1) ?? 0)
  expect(spool.stats()).toMatchObject({ records: 0, bytes: 0 })
  disk.leftBytes = Number.POSITIVE_INFINITY
  spool.flush()
  expect(open().ackedSeq).toBe(taken.at(-1))
})

it('a fresh spool opens on a full disk, and never gives out a number that was not reserved', () => {
  disk.leftBytes = 0
  const spool = open()
  expect(codeOf(() => spool.append('alert', Buffer.alloc(1)))).toBe('disk_full')
  disk.leftBytes = Number.POSITIVE_INFINITY
  const first = spool.append('alert', Buffer.alloc(1))
  expect(open().append('alert', Buffer.alloc(1))).toBeGreaterThan(first)
})

it('a cap that cannot be kept for want of space does not fail the append', () => {
  const spool = open(3000)
  for (let index = 0; index < 20; index += 1)
    spool.append(index % 2 === 0 ? 'alert' : 'inventory', Buffer.alloc(100))
  disk.leftBytes = 400
  const before = seqs(spool)
  let last = 0
  while (
    codeOf(() => {
      last = spool.append('alert', Buffer.alloc(100))
    }) === undefined
  )
    before.push(last)
  const after = new Set(seqs(spool))
  const gaps = spool.takeGaps()
  const isTold = (seq: number) => gaps.some((gap) => gap.fromSeq <= seq && seq <= gap.toSeq)
  expect(before.filter((seq) => !after.has(seq) && !isTold(seq))).toEqual([])
})

it('a file that cannot be replaced keeps its old content and leaves nothing behind', () => {
  const path = join(dir, 'a')
  writeFileAtomic(path, 'old')
  disk.leftBytes = 2
  expect(codeOf(() => writeFileAtomic(path, 'newer'))).toBe('disk_full')
  expect(readdirSync(dir)).toEqual(['a'])
})
