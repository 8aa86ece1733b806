import { closeSync, fdatasyncSync, ftruncateSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type EventClass, eventClasses } from '@ringwall/contracts'
import { writeFileAtomic } from '../atomic-file.ts'
import { uuidv7 } from '../ids.ts'
import { type Mark, readMark, type SpoolGap, withGap } from './mark.ts'
import { decodeHeader, decodeRecords, encodeHeader, encodeRecord, type SpoolRecord } from './segment.ts'

export type ClassCounts = Record<EventClass, number>
/** A segment file; `lastSeq` is 0 while it is empty. */
export type Segment = {
  path: string
  firstSeq: number
  lastSeq: number
  sizeBytes: number
  counts: ClassCounts
}

/** Without the mark nobody knows which numbers were used for records that are gone: leave all of them out. */
const unknownReservation = 2 ** 32

export const noCounts = (): ClassCounts => Object.fromEntries(eventClasses.map((n) => [n, 0])) as ClassCounts

/** The path of the segment that begins with `seq`; names sort as numbers do. */
export function segmentPath(dir: string, seq: number): string {
  return join(dir, `${String(seq).padStart(16, '0')}.seg`)
}

export function describeSegment(path: string, records: SpoolRecord[], sizeBytes: number): Segment {
  const counts = noCounts()
  for (const record of records) counts[record.class] += 1
  return { path, firstSeq: records[0]?.seq ?? 0, lastSeq: records.at(-1)?.seq ?? 0, sizeBytes, counts }
}

/** Replaces a segment by one with these records, as a whole. Throws disk_full with the old one in place. */
export function rewriteSegment(path: string, epoch: string, records: SpoolRecord[]): Segment {
  const bytes = Buffer.concat([encodeHeader(epoch), ...records.map(encodeRecord)])
  writeFileAtomic(path, bytes)
  return describeSegment(path, records, bytes.length)
}

/**
 * Mends one segment: whole records stay, a torn tail is cut off, and what is lost comes back as gaps. `firstSeq`
 * and `endSeq` (exclusive) bound the numbers that it can hold. The segment is undefined when nothing is left.
 */
export function mendSegment(
  path: string,
  options: { epoch: string; firstSeq: number; endSeq: number },
): { segment: Segment | undefined; gaps: SpoolGap[] } {
  const { epoch, firstSeq, endSeq } = options
  const bytes = readFileSync(path)
  const { records, holes, lostAtEnd, endOffset } = decodeRecords(bytes, firstSeq)
  const fromSeq = (records.at(-1)?.seq ?? firstSeq - 1) + 1
  if (lostAtEnd > 0 && fromSeq < endSeq)
    holes.push({ fromSeq, toSeq: endSeq - 1, count: Math.min(lostAtEnd, endSeq - fromSeq) })
  // What class damaged records had is not known; it is told as the worst.
  const gaps = holes.map((hole) => ({ ...hole, class: 'alert' as const }))
  if (records.length === 0) {
    rmSync(path, { force: true })
    return { segment: undefined, gaps }
  }
  if (decodeHeader(bytes) !== epoch || holes.some((hole) => hole.fromSeq < fromSeq))
    return { segment: rewriteSegment(path, epoch, records), gaps }
  if (endOffset < bytes.length) truncate(path, endOffset)
  return { segment: describeSegment(path, records, endOffset), gaps }
}

function truncate(path: string, sizeBytes: number): void {
  const file = openSync(path, 'r+')
  try {
    ftruncateSync(file, sizeBytes)
    fdatasyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** The epoch that the newest readable segment header has. */
function epochOf(dir: string, names: string[]): string | undefined {
  for (const name of names.toReversed()) {
    const epoch = decodeHeader(readFileSync(join(dir, name)))
    if (epoch !== undefined) return epoch
  }
  return undefined
}

/** Brings a spool directory in order after whatever happened to it, and tells what was lost. */
export function recover(dir: string): { mark: Mark; segments: Segment[] } {
  const all = readdirSync(dir).sort()
  for (const name of all) if (name.endsWith('.tmp')) rmSync(join(dir, name), { force: true })
  const names = all.filter((name) => /^\d{16}\.seg$/.test(name))
  const firstSeqs = names.map((name) => Number.parseInt(name, 10))
  const newestFirst = firstSeqs.at(-1) ?? 1
  const stored = readMark(dir)
  const mark: Mark = stored ?? {
    epoch: epochOf(dir, names) ?? uuidv7(),
    ackedSeq: 0,
    reservedSeq: names.length === 0 ? 1 : newestFirst + unknownReservation,
    gaps: [],
  }
  // A mark older than the segments (a restored copy) must not make numbers be used again.
  if (mark.reservedSeq <= newestFirst && names.length > 0) mark.reservedSeq = newestFirst + unknownReservation
  const segments: Segment[] = []
  for (const [index, name] of names.entries()) {
    const { segment, gaps } = mendSegment(join(dir, name), {
      epoch: mark.epoch,
      firstSeq: firstSeqs[index] ?? 1,
      endSeq: firstSeqs[index + 1] ?? mark.reservedSeq,
    })
    if (segment !== undefined) segments.push(segment)
    for (const gap of gaps) if (gap.toSeq > mark.ackedSeq) mark.gaps = withGap(mark.gaps, gap)
  }
  mark.reservedSeq = Math.max(mark.reservedSeq, (segments.at(-1)?.lastSeq ?? 0) + 1)
  return { mark, segments }
}
