/**
 * A file with the memory of the verdict table as it was when the log had so many records: a scanner starts with it
 * and replays only what came after. Little-endian:
 *   0 magic (8) · 8 records of the log u48 · 16 the last of them (64)
 *   80 of each shard: slots u32, entries u32, CRC-32 of its memory u32 · 4092 CRC-32 of the header before u32
 *   4096 the memory of each shard
 * It holds nothing that the log does not: one that is damaged, or not of this log, is not used.
 */
import { closeSync, fdatasync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate as others } from 'node:timers/promises'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { syncDirectory } from '@ringwall/runtime'
import { recordBytes } from './log-record.ts'
import { slotBytes } from './table-shard.ts'
import { appendFully } from './verdict-details.ts'
import { shardCount, VerdictTable } from './verdict-table.ts'

const syncAsync = promisify(fdatasync)
const magic = Buffer.from('RWTABLE1')
const headerBytes = 4096
const shardsAt = 80
const checksumAt = headerBytes - 4
const pieceBytes = 256 * 1024
/** Synced this much at a time: verdicts that are put meanwhile wait for the same disk. */
const syncedBytes = 8 * 1024 ** 2

/** Which log a table belongs to: how many of its records are in the table, and the bytes of the last of them. */
export type LogMark = { records: number; lastRecord: Buffer }

/**
 * Writes the table in the place of an older snapshot. Lookups and changes go on between two shards: what changes
 * after the mark is in the log behind it. After a crash at any moment there is the old file or the new one.
 */
export async function writeSnapshot(path: string, table: VerdictTable, mark: LogMark): Promise<void> {
  const header = Buffer.alloc(headerBytes)
  magic.copy(header)
  header.writeUIntLE(mark.records, 8, 6)
  mark.lastRecord.copy(header, 16)
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', 0o600)
  try {
    await appendFully(file, Buffer.alloc(headerBytes))
    let copy = Buffer.alloc(0)
    let at = shardsAt
    let unsyncedBytes = 0
    for (const { slots, count, bytes } of table.memory()) {
      if (copy.length < bytes.length) copy = Buffer.allocUnsafeSlow(bytes.length)
      const shard = copy.subarray(0, bytes.copy(copy))
      header.writeUInt32LE(slots, at)
      header.writeUInt32LE(count, at + 4)
      header.writeUInt32LE(crc32(shard), at + 8)
      at += 12
      await appendFully(file, shard)
      unsyncedBytes += shard.length
      if (unsyncedBytes >= syncedBytes) {
        await syncAsync(file)
        unsyncedBytes = 0
      }
      await others()
    }
    header.writeUInt32LE(crc32(header.subarray(0, checksumAt)), checksumAt)
    for (let done = 0; done < headerBytes; ) done += writeSync(file, header, done, headerBytes - done, done)
    await syncAsync(file)
    renameSync(temporary, path)
    syncDirectory(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
}

/** Durable when it returns. */
export function removeSnapshot(path: string): void {
  rmSync(path, { force: true })
  syncDirectory(dirname(path))
}

/**
 * Fills `bytes` and answers their checksum; undefined when the file ends before. By way of a small buffer that stays
 * in the processor's cache: memory that was never used is slow to come to, and is come to once.
 */
function readChecked(file: number, bytes: Buffer, piece: Buffer): number | undefined {
  let checksum = 0
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(file, piece, 0, Math.min(piece.length, bytes.length - done), null)
    if (count === 0) return undefined
    checksum = crc32(piece.subarray(0, count), checksum)
    piece.copy(bytes, done, 0, count)
    done += count
  }
  return checksum
}

export type Snapshot = { table: VerdictTable; mark: LogMark }

function readFrom(file: number, isWanted: (mark: LogMark) => boolean): Snapshot | undefined {
  const header = Buffer.alloc(headerBytes)
  const piece = Buffer.allocUnsafeSlow(pieceBytes)
  if (readChecked(file, header, piece) === undefined) return undefined
  if (!header.subarray(0, magic.length).equals(magic)) return undefined
  if (crc32(header.subarray(0, checksumAt)) !== header.readUInt32LE(checksumAt)) return undefined
  const mark = { records: header.readUIntLE(8, 6), lastRecord: header.subarray(16, 16 + recordBytes) }
  if (!isWanted(mark)) return undefined
  const shards = Array.from({ length: shardCount }, (_, index) => ({
    slots: header.readUInt32LE(shardsAt + index * 12),
    count: header.readUInt32LE(shardsAt + index * 12 + 4),
    checksum: header.readUInt32LE(shardsAt + index * 12 + 8),
  }))
  const sizeBytes = shards.reduce((sum, { slots }) => sum + slots * slotBytes, headerBytes)
  if (fstatSync(file).size !== sizeBytes) return undefined
  const checksums = shards.values()
  const table = VerdictTable.fromMemory(
    shards,
    (bytes) => readChecked(file, bytes, piece) === checksums.next().value?.checksum,
  )
  return table === undefined ? undefined : { table, mark }
}

/** The table of a snapshot that `isWanted`; undefined when there is none, or anything is not as it was written. */
export function readSnapshot(path: string, isWanted: (mark: LogMark) => boolean): Snapshot | undefined {
  rmSync(`${path}.new`, { force: true })
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    return readFrom(file, isWanted)
  } catch (error) {
    // Not there, or the disk cannot read it: the log has everything.
    if (error instanceof Error && 'syscall' in error) return undefined
    throw error
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
