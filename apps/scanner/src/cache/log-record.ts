/**
 * Records of the verdict log, 64 bytes each, little-endian:
 *   0 sha256 (32) · 32 verdict code u8 · 33 flags u8 · 34 version number u16 · 36 size u48 · 42 judged at, ms u48
 *   48 zero (12) · 60 CRC32C of the first 60 bytes u32
 */
import { crc32c, crc32cOf } from '@ringwall/runtime'

export const recordBytes = 64

/** Instead of a verdict: the hash is to be forgotten. */
export const forgottenCode = 255
/** The verdict came from another scanner: it is not told to the center. */
export const foreignFlag = 1

export type LogRecord = {
  sha256: Buffer
  code: number
  flags: number
  version: number
  sizeBytes: number
  judgedAtMs: number
}

export function encodeLogRecord(record: LogRecord): Buffer {
  const { sha256, code, flags, version, sizeBytes, judgedAtMs } = record
  const bytes = Buffer.alloc(recordBytes)
  sha256.copy(bytes)
  bytes.writeUInt8(code, 32)
  bytes.writeUInt8(flags, 33)
  bytes.writeUInt16LE(version, 34)
  bytes.writeUIntLE(sizeBytes, 36, 6)
  bytes.writeUIntLE(judgedAtMs, 42, 6)
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, 60)), 60)
  return bytes
}

/** The record at `offset`; undefined when it is torn or damaged. */
export function decodeLogRecord(bytes: Buffer, offset: number): LogRecord | undefined {
  if (offset + recordBytes > bytes.length) return undefined
  if (crc32c(bytes.subarray(offset, offset + 60)) !== bytes.readUInt32LE(offset + 60)) return undefined
  return {
    sha256: bytes.subarray(offset, offset + 32),
    code: bytes.readUInt8(offset + 32),
    flags: bytes.readUInt8(offset + 33),
    version: bytes.readUInt16LE(offset + 34),
    sizeBytes: bytes.readUIntLE(offset + 36, 6),
    judgedAtMs: bytes.readUIntLE(offset + 42, 6),
  }
}

/**
 * Visits the records from `start` to `end` of a chunk that are not damaged, without an object for each: a scanner may
 * have to read millions of them. `at` is where the record begins in the chunk.
 */
export function visitLogRecords(
  chunk: Buffer,
  start: number,
  end: number,
  visit: (at: number, code: number, version: number, sizeBytes: number, judgedAtMs: number) => void,
): void {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  for (let at = start; at + recordBytes <= end; at += recordBytes) {
    if (crc32cOf(view, at, at + 60) !== view.getUint32(at + 60, true)) continue
    const sizeBytes = view.getUint32(at + 36, true) + view.getUint16(at + 40, true) * 2 ** 32
    const judgedAtMs = view.getUint32(at + 42, true) + view.getUint16(at + 46, true) * 2 ** 32
    visit(at, view.getUint8(at + 32), view.getUint16(at + 34, true), sizeBytes, judgedAtMs)
  }
}
