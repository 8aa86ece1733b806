import { closeSync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { AppError, type EventClass, eventClasses } from '@ringwall/contracts'
import { isDiskFullError, syncDirectory } from '../atomic-file.ts'
import { type Logger, silentLogger } from '../logger.ts'
import { readRange, writeWhole } from './file-io.ts'
import { type Mark, type SpoolGap, withGap, writeMark } from './mark.ts'
import {
  type ClassCounts,
  mendSegment,
  noCounts,
  recover,
  rewriteSegment,
  type Segment,
  segmentPath,
} from './recovery.ts'
import {
  decodeRecord,
  decodeRecords,
  encodeHeader,
  encodeRecord,
  headerBytes,
  maxPayloadBytes,
  recordOverheadBytes,
  type SpoolRecord,
} from './segment.ts'

export type SpoolBatch = { epoch: string; records: SpoolRecord[] }
export type SpoolStats = {
  records: number
  bytes: number
  droppedByClass: ClassCounts
  /** The oldest number that is not acknowledged; undefined when nothing waits. */
  oldestSeq: number | undefined
}
export type SpoolOptions = {
  dir: string
  capBytes: number
  segmentBytes?: number
  /** How long records other than alerts may stay unsynced. */
  flushAfterMs?: number
  logger?: Logger
}

const reservation = 10_000
/** Shedding goes a little below the cap, so that it does not happen for each record. */
const shedToShare = 0.9
/** Enough for the largest record and one behind it. */
const readWindowBytes = 2 * (maxPayloadBytes + recordOverheadBytes)

/**
 * Events that wait on disk until the center has committed them. Records get growing sequence numbers that are
 * never used twice within an epoch, also after a power cut (numbers are reserved in blocks, durably). Alerts are
 * synced before `append` returns; others within a second or at `flush`. Beyond `capBytes` the oldest records of
 * the least important class go first. Every loss, also one by damage, is a gap that `takeGaps` tells.
 */
export class Spool {
  readonly #dir: string
  readonly #capBytes: number
  readonly #segmentBytes: number
  readonly #flushAfterMs: number
  readonly #logger: Logger
  #mark: Mark
  #isMarkStale = false
  #segments: Segment[]
  #active: { file: number; segment: Segment } | undefined
  #nextSeq: number
  #isDirty = false
  #flushTimer: NodeJS.Timeout | undefined
  readonly #dropped = noCounts()
  #cursor: { path: string; seq: number; offset: number } | undefined

  private constructor(options: SpoolOptions, mark: Mark, segments: Segment[]) {
    this.#dir = options.dir
    this.#capBytes = options.capBytes
    this.#segmentBytes = options.segmentBytes ?? 4 * 1024 * 1024
    this.#flushAfterMs = options.flushAfterMs ?? 1000
    this.#logger = options.logger ?? silentLogger
    this.#mark = mark
    this.#segments = segments
    this.#nextSeq = mark.reservedSeq
    if (mark.gaps.length > 0) {
      this.#logger.warn({ dir: this.#dir, gaps: mark.gaps }, 'the spool has lost records')
      this.#saveMark()
    }
  }

  /** Opens the spool in `dir`, mending what a crash or damage left. Needs no space on the disk unless it mends. */
  static open(options: SpoolOptions): Spool {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 })
    const { mark, segments } = recover(options.dir)
    return new Spool(options, mark, segments)
  }

  get epoch(): string {
    return this.#mark.epoch
  }

  get ackedSeq(): number {
    return this.#mark.ackedSeq
  }

  /**
   * Adds a record and answers its sequence number. Throws disk_full: then this record was not taken, and what was
   * added before stays. Throws message_too_large beyond 1 MiB.
   */
  append(eventClass: EventClass, payload: Uint8Array): number {
    if (payload.length > maxPayloadBytes)
      throw new AppError('message_too_large', { maxBytes: maxPayloadBytes })
    const seq = this.#nextSeq
    if (seq >= this.#mark.reservedSeq) this.#reserve(seq)
    const bytes = encodeRecord({ seq, class: eventClass, payload })
    const { file, segment } = this.#writable()
    try {
      writeWhole(file, bytes, segment.sizeBytes)
      if (eventClass === 'alert') fdatasyncSync(file)
      else this.#isDirty = true
    } catch (error) {
      ftruncateSync(file, segment.sizeBytes)
      throw this.#diskError(error)
    }
    if (segment.firstSeq === 0) segment.firstSeq = seq
    segment.lastSeq = seq
    segment.sizeBytes += bytes.length
    segment.counts[eventClass] += 1
    this.#nextSeq += 1
    if (this.#sizeBytes() > this.#capBytes) this.#shed()
    this.#flushSoon()
    return seq
  }

  /** Records behind `afterSeq` that wait, in order: at least one when there is one, else within both limits. */
  read(options: { afterSeq: number; maxBytes: number; maxRecords: number }): SpoolBatch {
    const afterSeq = Math.max(options.afterSeq, this.#mark.ackedSeq)
    for (const segment of [...this.#segments]) {
      if (segment.lastSeq <= afterSeq) continue
      let records = this.#readSegment(segment, afterSeq, options)
      if (records.length === 0 && this.#mend(segment)) records = this.#readSegment(segment, afterSeq, options)
      if (records.length > 0) return { epoch: this.epoch, records }
    }
    return { epoch: this.epoch, records: [] }
  }

  /** Forgets everything up to `seq`: the center has it. Another epoch is ignored. Needs no space on the disk. */
  ack(epoch: string, seq: number): void {
    if (epoch !== this.#mark.epoch || seq <= this.#mark.ackedSeq) return
    this.#mark.ackedSeq = Math.min(seq, this.#nextSeq - 1)
    for (const segment of [...this.#segments])
      if (segment.lastSeq !== 0 && segment.lastSeq <= this.#mark.ackedSeq) this.#remove(segment)
    this.#saveMark()
  }

  stats(): SpoolStats {
    let records = 0
    for (const { counts } of this.#segments) for (const name of eventClasses) records += counts[name]
    const waiting = this.#segments.find((segment) => segment.lastSeq > this.#mark.ackedSeq)
    return {
      records,
      bytes: this.#sizeBytes(),
      droppedByClass: { ...this.#dropped },
      oldestSeq: waiting && Math.max(waiting.firstSeq, this.#mark.ackedSeq + 1),
    }
  }

  /** Losses since the last call, to be reported as events themselves. They outlive a restart until taken. */
  takeGaps(): SpoolGap[] {
    const { gaps } = this.#mark
    if (gaps.length > 0) {
      this.#mark.gaps = []
      this.#isMarkStale = true
      this.#flushSoon()
    }
    return gaps
  }

  /** Makes what was appended durable. Throws disk_full. */
  flush(): void {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    if (this.#isMarkStale) this.#saveMark()
    if (!this.#isDirty || this.#active === undefined) return
    try {
      fdatasyncSync(this.#active.file)
    } catch (error) {
      throw this.#diskError(error)
    }
    this.#isDirty = false
  }

  /** Makes everything durable and lets go of the files. */
  close(): void {
    this.#seal()
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    if (this.#nextSeq > 1) this.#saveMark({ reservedSeq: this.#nextSeq })
  }

  #diskError(error: unknown): unknown {
    if (!isDiskFullError(error)) return error
    return new AppError('disk_full', { path: this.#dir }, { cause: error })
  }

  #sizeBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.sizeBytes, 0)
  }

  #reserve(seq: number): void {
    const mark = { ...this.#mark, reservedSeq: seq + reservation }
    writeMark(this.#dir, mark)
    this.#mark = mark
    this.#isMarkStale = false
  }

  /** Writes the mark where an old one does no harm: it is written again later when the disk is full now. */
  #saveMark(change: Partial<Mark> = {}): void {
    const mark = { ...this.#mark, ...change }
    try {
      writeMark(this.#dir, mark)
      this.#mark = mark
      this.#isMarkStale = false
    } catch (error) {
      this.#isMarkStale = true
      this.#logger.warn({ error }, 'the mark of the spool could not be written')
    }
  }

  #flushSoon(): void {
    if (this.#flushTimer !== undefined || (!this.#isDirty && !this.#isMarkStale)) return
    this.#flushTimer = setTimeout(() => {
      try {
        this.flush()
      } catch (error) {
        this.#logger.error({ error }, 'the spool could not be synced')
        this.#flushSoon()
      }
    }, this.#flushAfterMs).unref()
  }

  #writable(): { file: number; segment: Segment } {
    if (this.#active !== undefined && this.#active.segment.sizeBytes < this.#segmentBytes) return this.#active
    this.#seal()
    const path = segmentPath(this.#dir, this.#nextSeq)
    let file: number | undefined
    try {
      file = openSync(path, 'w+', 0o600)
      writeWhole(file, encodeHeader(this.#mark.epoch), 0)
      syncDirectory(this.#dir)
    } catch (error) {
      if (file !== undefined) closeSync(file)
      rmSync(path, { force: true })
      throw this.#diskError(error)
    }
    const segment: Segment = { path, firstSeq: 0, lastSeq: 0, sizeBytes: headerBytes, counts: noCounts() }
    this.#segments.push(segment)
    this.#active = { file, segment }
    return this.#active
  }

  #seal(): void {
    if (this.#active === undefined) return
    this.flush()
    const { file, segment } = this.#active
    closeSync(file)
    this.#active = undefined
    if (segment.lastSeq === 0) this.#remove(segment)
  }

  #remove(segment: Segment): void {
    if (this.#active?.segment === segment) {
      closeSync(this.#active.file)
      this.#active = undefined
      this.#isDirty = false
    }
    rmSync(segment.path, { force: true })
    this.#segments = this.#segments.filter((other) => other !== segment)
    if (this.#cursor?.path === segment.path) this.#cursor = undefined
  }

  #readSegment(
    segment: Segment,
    afterSeq: number,
    limits: { maxBytes: number; maxRecords: number },
  ): SpoolRecord[] {
    const records: SpoolRecord[] = []
    const cursor = this.#cursor
    const isContinued = cursor?.path === segment.path && cursor.seq === afterSeq
    const start = isContinued ? cursor.offset : headerBytes
    const end = isContinued ? Math.min(segment.sizeBytes, start + readWindowBytes) : segment.sizeBytes
    const bytes = readRange(segment.path, start, end)
    let leftBytes = limits.maxBytes
    let offset = 0
    for (let next = decodeRecord(bytes, offset); next !== undefined; next = decodeRecord(bytes, offset)) {
      offset = next.nextOffset
      if (next.record.seq <= afterSeq) continue
      leftBytes -= next.record.payload.length
      if (records.length > 0 && (records.length >= limits.maxRecords || leftBytes < 0)) break
      records.push(next.record)
      this.#cursor = { path: segment.path, seq: next.record.seq, offset: start + offset }
    }
    return records
  }

  /** Mends a segment that should have records and gives none. Whether any are left. */
  #mend(damaged: Segment): boolean {
    if (this.#active?.segment === damaged) this.#seal()
    const after = this.#segments[this.#segments.indexOf(damaged) + 1]
    const { segment, gaps } = mendSegment(damaged.path, {
      epoch: this.epoch,
      firstSeq: damaged.firstSeq,
      endSeq: after === undefined || after.firstSeq === 0 ? this.#nextSeq : after.firstSeq,
    })
    for (const gap of gaps) this.#addGap(gap)
    this.#saveMark()
    this.#logger.warn({ path: damaged.path, gaps }, 'a segment of the spool was damaged')
    if (segment === undefined) this.#remove(damaged)
    else this.#replace(damaged, segment)
    return segment !== undefined
  }

  #replace(old: Segment, segment: Segment): void {
    Object.assign(old, segment)
    if (this.#cursor?.path === segment.path) this.#cursor = undefined
  }

  #addGap(gap: SpoolGap): void {
    this.#mark.gaps = withGap(this.#mark.gaps, gap)
    this.#dropped[gap.class] += gap.count
  }

  /** Makes room, or leaves the spool above its cap when the disk has no room to make room with. */
  #shed(): void {
    try {
      this.#seal()
      for (const eventClass of eventClasses.toReversed()) {
        for (const segment of [...this.#segments]) {
          if (this.#sizeBytes() <= this.#capBytes * shedToShare) return
          if (segment.counts[eventClass] > 0) this.#drop(segment, eventClass)
        }
      }
    } catch (error) {
      this.#logger.error({ error }, 'the spool could not make room')
    } finally {
      this.#saveMark()
    }
  }

  #drop(segment: Segment, eventClass: EventClass): void {
    const waiting = decodeRecords(readFileSync(segment.path)).records.filter(
      (record) => record.seq > this.#mark.ackedSeq,
    )
    const lost = waiting.filter((record) => record.class === eventClass)
    const kept = waiting.filter((record) => record.class !== eventClass)
    if (kept.length === 0) this.#remove(segment)
    else this.#replace(segment, rewriteSegment(segment.path, this.epoch, kept))
    const first = lost[0]
    const last = lost.at(-1)
    if (first === undefined || last === undefined) return
    this.#addGap({ fromSeq: first.seq, toSeq: last.seq, count: lost.length, class: eventClass })
  }
}
