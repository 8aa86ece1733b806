import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { AppError, type EventClass, eventClasses } from '@ringwall/contracts'
import {
  isDiskFullError,
  readJsonFile,
  syncDirectory,
  writeFileAtomic,
  writeJsonFile,
} from '../atomic-file.ts'
import { uuidv7 } from '../ids.ts'
import {
  decodeHeader,
  decodeRecord,
  decodeRecords,
  encodeHeader,
  encodeRecord,
  headerBytes,
  maxPayloadBytes,
  recordOverheadBytes,
  type SpoolRecord,
} from './segment.ts'

type ClassCounts = Record<EventClass, number>
type Segment = { path: string; firstSeq: number; lastSeq: number; sizeBytes: number; counts: ClassCounts }
type Mark = { epoch: string; ackedSeq: number; reservedSeq: number }

export type SpoolGap = { fromSeq: number; toSeq: number; count: number; class: EventClass }
export type SpoolStats = { records: number; bytes: number; droppedByClass: ClassCounts }
type SpoolOptions = { dir: string; capBytes: number; segmentBytes?: number }

const reservation = 10_000
/** Shedding goes a little below the cap, so that it does not happen for each record. */
const shedToShare = 0.9
const noCounts = (): ClassCounts => ({ alert: 0, event: 0, inventory: 0 })

const markSchema = {
  safeParse(value: unknown): { success: true; data: Mark } | { success: false } {
    const mark = value as Partial<Mark> | null
    const isMark =
      typeof mark?.epoch === 'string' &&
      Number.isSafeInteger(mark.ackedSeq) &&
      Number.isSafeInteger(mark.reservedSeq)
    return isMark ? { success: true, data: mark as Mark } : { success: false }
  },
}

/**
 * Events that wait on disk until the center has committed them. Records get growing sequence numbers that are
 * never used twice within an epoch, also after a power cut (numbers are reserved in blocks, durably). Alerts are
 * synced before `append` returns; others at `flush`. Beyond `capBytes` the oldest records of the least important
 * class go first, and every loss is a gap that `takeGaps` tells.
 */
export class Spool {
  readonly #dir: string
  readonly #capBytes: number
  readonly #segmentBytes: number
  readonly #mark: Mark
  #segments: Segment[]
  #active: { file: number; segment: Segment } | undefined
  #nextSeq: number
  #isDirty = false
  #gaps: SpoolGap[] = []
  readonly #dropped = noCounts()
  #cursor: { path: string; seq: number; offset: number } | undefined

  private constructor(options: SpoolOptions, mark: Mark, segments: Segment[]) {
    this.#dir = options.dir
    this.#capBytes = options.capBytes
    this.#segmentBytes = options.segmentBytes ?? 4 * 1024 * 1024
    this.#mark = mark
    this.#segments = segments
    this.#nextSeq = mark.reservedSeq
    this.#reserve()
  }

  /** Opens the spool in `dir`, mending what a crash left: torn tails are cut off. */
  static open(options: SpoolOptions): Spool {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 })
    const markPath = join(options.dir, 'mark.json')
    const stored = readMark(markPath)
    const mark = stored ?? { epoch: uuidv7(), ackedSeq: 0, reservedSeq: 1 }
    const segments: Segment[] = []
    for (const name of readdirSync(options.dir).sort()) {
      if (!name.endsWith('.seg')) continue
      const segment = recoverSegment(join(options.dir, name), mark.epoch)
      if (segment !== undefined) segments.push(segment)
    }
    return new Spool(options, mark, segments)
  }

  get epoch(): string {
    return this.#mark.epoch
  }

  /** Adds a record and answers its sequence number. Throws disk_full; what was added before stays. */
  append(eventClass: EventClass, payload: Uint8Array): number {
    if (payload.length > maxPayloadBytes)
      throw new AppError('message_too_large', { maxBytes: maxPayloadBytes })
    const seq = this.#nextSeq
    if (seq >= this.#mark.reservedSeq) this.#reserve()
    const bytes = encodeRecord({ seq, class: eventClass, payload })
    const { file, segment } = this.#writable()
    try {
      writeWhole(file, bytes, segment.sizeBytes)
      if (eventClass === 'alert') fdatasyncSync(file)
      else this.#isDirty = true
    } catch (error) {
      ftruncateSync(file, segment.sizeBytes)
      if (isDiskFullError(error)) throw new AppError('disk_full', { path: this.#dir }, { cause: error })
      throw error
    }
    if (segment.firstSeq === 0) segment.firstSeq = seq
    segment.lastSeq = seq
    segment.sizeBytes += bytes.length
    segment.counts[eventClass] += 1
    this.#nextSeq += 1
    if (this.stats().bytes > this.#capBytes) this.#shed()
    return seq
  }

  /** Records behind `afterSeq`, in order, at most so many. */
  read(options: { afterSeq: number; maxBytes: number; maxRecords: number }): SpoolRecord[] {
    const { afterSeq, maxBytes, maxRecords } = options
    const records: SpoolRecord[] = []
    let left = maxBytes
    for (const segment of this.#segments) {
      if (segment.lastSeq <= afterSeq) continue
      const start =
        this.#cursor?.path === segment.path && this.#cursor.seq === afterSeq
          ? this.#cursor.offset
          : headerBytes
      const bytes = readRange(segment.path, start, segment.sizeBytes)
      let offset = 0
      for (let next = decodeRecord(bytes, offset); next !== undefined; next = decodeRecord(bytes, offset)) {
        offset = next.nextOffset
        if (next.record.seq <= afterSeq) continue
        left -= next.record.payload.length
        if (records.length >= maxRecords || (left < 0 && records.length > 0)) return records
        records.push(next.record)
        this.#cursor = { path: segment.path, seq: next.record.seq, offset: start + offset }
      }
      if (records.length > 0) return records
    }
    return records
  }

  /** Forgets everything up to `seq`: the center has it. Another epoch is ignored. */
  ack(epoch: string, seq: number): void {
    if (epoch !== this.#mark.epoch || seq <= this.#mark.ackedSeq) return
    this.#mark.ackedSeq = Math.min(seq, this.#nextSeq - 1)
    const done = this.#segments.filter((segment) => segment.lastSeq !== 0 && segment.lastSeq <= seq)
    if (done.length === 0) return
    this.#writeMark()
    for (const segment of done) this.#remove(segment)
  }

  get ackedSeq(): number {
    return this.#mark.ackedSeq
  }

  stats(): SpoolStats {
    let records = 0
    let bytes = 0
    for (const segment of this.#segments) {
      bytes += segment.sizeBytes
      for (const name of eventClasses) records += segment.counts[name]
    }
    return { records, bytes, droppedByClass: { ...this.#dropped } }
  }

  /** Losses since the last call, to be reported as events themselves. */
  takeGaps(): SpoolGap[] {
    const gaps = this.#gaps
    this.#gaps = []
    return gaps
  }

  /** Makes what was appended durable. */
  flush(): void {
    if (!this.#isDirty || this.#active === undefined) return
    fdatasyncSync(this.#active.file)
    this.#isDirty = false
  }

  close(): void {
    this.flush()
    if (this.#active !== undefined) closeSync(this.#active.file)
    this.#active = undefined
    this.#writeMark()
  }

  #reserve(): void {
    this.#mark.reservedSeq = this.#nextSeq + reservation
    this.#writeMark()
  }

  #writeMark(): void {
    writeJsonFile(join(this.#dir, 'mark.json'), this.#mark)
  }

  #writable(): { file: number; segment: Segment } {
    if (this.#active !== undefined && this.#active.segment.sizeBytes < this.#segmentBytes) return this.#active
    this.#seal()
    const path = join(this.#dir, `${String(this.#nextSeq).padStart(16, '0')}.seg`)
    let file: number | undefined
    try {
      file = openSync(path, 'w+', 0o600)
      writeWhole(file, encodeHeader(this.#mark.epoch), 0)
      syncDirectory(this.#dir)
    } catch (error) {
      if (file !== undefined) closeSync(file)
      rmSync(path, { force: true })
      if (isDiskFullError(error)) throw new AppError('disk_full', { path: this.#dir }, { cause: error })
      throw error
    }
    const segment: Segment = { path, firstSeq: 0, lastSeq: 0, sizeBytes: headerBytes, counts: noCounts() }
    this.#segments.push(segment)
    this.#active = { file, segment }
    return this.#active
  }

  #seal(): void {
    if (this.#active === undefined) return
    this.flush()
    closeSync(this.#active.file)
    this.#active = undefined
  }

  #remove(segment: Segment): void {
    if (this.#active?.segment === segment) this.#seal()
    rmSync(segment.path, { force: true })
    this.#segments = this.#segments.filter((other) => other !== segment)
    if (this.#cursor?.path === segment.path) this.#cursor = undefined
  }

  #shed(): void {
    this.#seal()
    for (const eventClass of [...eventClasses].reverse()) {
      for (const segment of [...this.#segments]) {
        if (this.stats().bytes <= this.#capBytes * shedToShare) return
        if (segment.counts[eventClass] > 0) this.#drop(segment, eventClass)
      }
    }
  }

  #drop(segment: Segment, eventClass: EventClass): void {
    const { records } = decodeRecords(readFileSync(segment.path))
    const lost = records.filter((record) => record.class === eventClass && record.seq > this.#mark.ackedSeq)
    const kept = records.filter((record) => record.class !== eventClass && record.seq > this.#mark.ackedSeq)
    const first = lost[0]
    const last = lost.at(-1)
    if (first !== undefined && last !== undefined) {
      this.#gaps.push({ fromSeq: first.seq, toSeq: last.seq, count: lost.length, class: eventClass })
      this.#dropped[eventClass] += lost.length
    }
    if (kept.length === 0) {
      this.#remove(segment)
      return
    }
    const bytes = Buffer.concat([encodeHeader(this.#mark.epoch), ...kept.map(encodeRecord)])
    writeFileAtomic(segment.path, bytes)
    Object.assign(segment, describe(segment.path, kept, bytes.length))
    if (this.#cursor?.path === segment.path) this.#cursor = undefined
  }
}

function readMark(path: string): Mark | undefined {
  try {
    return readJsonFile(path, markSchema)
  } catch {
    // A damaged mark cannot say which numbers were used: a new epoch makes them fresh again.
    return undefined
  }
}

function describe(path: string, records: SpoolRecord[], sizeBytes: number): Segment {
  const counts = noCounts()
  for (const record of records) counts[record.class] += 1
  return { path, firstSeq: records[0]?.seq ?? 0, lastSeq: records.at(-1)?.seq ?? 0, sizeBytes, counts }
}

function recoverSegment(path: string, epoch: string): Segment | undefined {
  const bytes = readFileSync(path)
  const { records, endOffset } =
    decodeHeader(bytes) === epoch ? decodeRecords(bytes) : { records: [], endOffset: 0 }
  if (records.length === 0) {
    rmSync(path)
    return undefined
  }
  if (endOffset < statSync(path).size) {
    const file = openSync(path, 'r+')
    ftruncateSync(file, endOffset)
    fdatasyncSync(file)
    closeSync(file)
  }
  return describe(path, records, endOffset)
}

function writeWhole(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, position + done)
}

/** Enough for the largest batch and one largest record behind it. */
const readWindowBytes = 2 * (maxPayloadBytes + recordOverheadBytes)

function readRange(path: string, start: number, end: number): Buffer {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(
      Math.min(Math.max(0, end - start), start === headerBytes ? end : readWindowBytes),
    )
    let done = 0
    while (done < bytes.length) {
      const count = readSync(file, bytes, done, bytes.length - done, start + done)
      if (count === 0) break
      done += count
    }
    return bytes.subarray(0, done)
  } finally {
    closeSync(file)
  }
}
