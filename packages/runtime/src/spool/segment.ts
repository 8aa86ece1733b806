/**
 * One segment file of a spool: a header, then records that are only ever appended.
 *
 *   header  "RWSP" u32 version, 16 bytes epoch, 8 bytes zero                    (32 bytes)
 *   record  u32 payload length, u32 CRC32C of the rest, u64 seq, u8 class, payload   (17 bytes + payload)
 *
 * All integers little-endian. A record is there when its CRC says so; the first one that is not ends the file.
 */
import { type EventClass, eventClasses } from '@ringwall/contracts'
import { crc32c } from '../crc32c.ts'

export const headerBytes = 32
export const recordOverheadBytes = 17
/** No record may be larger: a length beyond it is damage, not data. */
export const maxPayloadBytes = 1024 * 1024
const magic = 'RWSP'
const version = 1

export type SpoolRecord = { seq: number; class: EventClass; payload: Uint8Array }

export function encodeHeader(epoch: string): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.write(magic, 0, 'latin1')
  header.writeUInt32LE(version, 4)
  Buffer.from(epoch.replaceAll('-', ''), 'hex').copy(header, 8)
  return header
}

/** The epoch in a header; undefined when this is no segment of a version that is read here. */
export function decodeHeader(bytes: Buffer): string | undefined {
  if (
    bytes.length < headerBytes ||
    bytes.toString('latin1', 0, 4) !== magic ||
    bytes.readUInt32LE(4) !== version
  )
    return undefined
  const hex = bytes.toString('hex', 8, 24)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export function encodeRecord({ seq, class: eventClass, payload }: SpoolRecord): Buffer {
  const record = Buffer.alloc(recordOverheadBytes + payload.length)
  record.writeUInt32LE(payload.length, 0)
  record.writeBigUInt64LE(BigInt(seq), 8)
  record.writeUInt8(eventClasses.indexOf(eventClass), 16)
  record.set(payload, recordOverheadBytes)
  record.writeUInt32LE(crc32c(record.subarray(8)), 4)
  return record
}

/** The record at `offset` and where the next one begins; undefined when none is whole there. */
export function decodeRecord(
  bytes: Buffer,
  offset: number,
): { record: SpoolRecord; nextOffset: number } | undefined {
  if (offset + recordOverheadBytes > bytes.length) return undefined
  const payloadBytes = bytes.readUInt32LE(offset)
  const nextOffset = offset + recordOverheadBytes + payloadBytes
  if (payloadBytes > maxPayloadBytes || nextOffset > bytes.length) return undefined
  if (crc32c(bytes.subarray(offset + 8, nextOffset)) !== bytes.readUInt32LE(offset + 4)) return undefined
  const eventClass = eventClasses[bytes.readUInt8(offset + 16)]
  const seq = Number(bytes.readBigUInt64LE(offset + 8))
  if (eventClass === undefined || !Number.isSafeInteger(seq)) return undefined
  return {
    record: {
      seq,
      class: eventClass,
      payload: Buffer.from(bytes.subarray(offset + recordOverheadBytes, nextOffset)),
    },
    nextOffset,
  }
}

/** Records that a segment had and that cannot be read any more: at least `count` in `fromSeq`..`toSeq`. */
export type Hole = { fromSeq: number; toSeq: number; count: number }
export type SegmentContent = {
  records: SpoolRecord[]
  /** Damage between whole records. */
  holes: Hole[]
  /** Records behind the last whole one that are damaged; 0 when the file ends where it should. */
  lostAtEnd: number
  /** The offset behind the last whole record. */
  endOffset: number
}

/** All whole records of a segment whose first may have the number `firstSeq`, and what is missing between them. */
export function decodeRecords(bytes: Buffer, firstSeq = 1): SegmentContent {
  const records: SpoolRecord[] = []
  const holes: Hole[] = []
  let expectedSeq = firstSeq
  let damaged = 0
  let offset = Math.min(headerBytes, bytes.length)
  let endOffset = offset
  while (offset + recordOverheadBytes <= bytes.length) {
    const next = decodeRecord(bytes, offset)
    if (next === undefined || next.record.seq < expectedSeq) {
      // The length alone may still be right: what follows is then found again.
      const payloadBytes = bytes.readUInt32LE(offset)
      if (payloadBytes > maxPayloadBytes) break
      damaged += 1
      offset += recordOverheadBytes + payloadBytes
      continue
    }
    const { seq } = next.record
    if (damaged > 0 && seq > expectedSeq)
      holes.push({ fromSeq: expectedSeq, toSeq: seq - 1, count: Math.min(damaged, seq - expectedSeq) })
    damaged = 0
    records.push(next.record)
    expectedSeq = seq + 1
    offset = next.nextOffset
    endOffset = offset
  }
  return { records, holes, lostAtEnd: endOffset < bytes.length ? Math.max(1, damaged) : 0, endOffset }
}
