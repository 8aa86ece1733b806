import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  read,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as others } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  AppError,
  type CacheFlush,
  type ContentVersion,
  type LookupCode,
  lookupCodes,
  type Verdict,
  type VerdictClass,
} from '@ringwall/contracts'
import { type HashSet, hashFinding } from '@ringwall/engines'
import {
  isDiskFullError,
  makePrivateDirectory,
  readJsonFile,
  syncDirectory,
  writeJsonFile,
} from '@ringwall/runtime'
import { z } from 'zod'
import { evictOldest, surveyTable } from './aging.ts'
import { type ContentVersions, openContentVersions, standings } from './content-versions.ts'
import { appendFully, hasDetails, VerdictDetails } from './verdict-details.ts'
import {
  decodeLogRecord,
  encodeLogRecord,
  foreignFlag,
  forgottenCode,
  type LogRecord,
  recordBytes,
  visitLogRecords,
} from './verdict-log.ts'
import { VerdictTable } from './verdict-table.ts'

const readAsync = promisify(read)
const syncAsync = promisify(fdatasync)
const readChunkBytes = 64 * 1024 * recordBytes
/** When there are too many, this share of the oldest goes at once. */
const evictedShare = 0.1
/** The log is written anew when more than half of it is of no use, and enough for it to matter. */
const minGarbageRecords = 100_000

const classOf: Record<number, VerdictClass> = {
  [lookupCodes.clean]: 'clean',
  [lookupCodes.suspicious]: 'suspicious',
  [lookupCodes.malicious]: 'malicious',
  [lookupCodes.partial]: 'partial',
}
const sentSchema = z.object({ records: z.number().int().nonnegative() })

type Write = {
  record: LogRecord
  detail: Verdict | undefined
  resolve: () => void
  reject: (error: unknown) => void
}
export type Unsent = { generation: string; next: number; records: LogRecord[]; details: Verdict[] }
export type StoreFigures = { staleEntries: number; ages: number[] }

/**
 * Verdicts of the whole data centre, by content. `put` resolves when the verdict is on disk; after kill -9 or a
 * power cut everything that resolved is there. What is not clean keeps its findings in a second log.
 *
 * Under another content a clean verdict stays in use: as it is when only SHA-256 lists changed (the new lists are
 * asked at once), as stale when rules or engines did. Anything else is judged anew when it is next seen.
 *
 * The log is also the outbox: what of it the center has committed is marked by a record number.
 */
export class VerdictStore {
  readonly #table: VerdictTable
  readonly #details: VerdictDetails
  readonly #dir: string
  readonly #maxEntries: number
  readonly #versions: ContentVersions
  #log: number
  #logRecords = 0
  #sentRecords: number
  /** Changes when record numbers do. */
  #generation: string = randomUUID()
  #hashes: HashSet | undefined
  #queue: Write[] = []
  #turn: Promise<void> = Promise.resolve()
  #isFlushing = false
  #figures: StoreFigures = { staleEntries: 0, ages: [0, 0, 0, 0, 0] }

  private constructor(dir: string, maxEntries: number) {
    this.#dir = dir
    this.#maxEntries = maxEntries
    makePrivateDirectory(dir)
    rmSync(this.#path('verdicts.log.new'), { force: true })
    this.#versions = openContentVersions(dir)
    this.#log = openSync(this.#path('verdicts.log'), 'a+', 0o600)
    this.#table = new VerdictTable(fstatSync(this.#log).size / recordBytes)
    this.#readLog()
    this.#details = new VerdictDetails(this.#path('findings.log'))
    this.#sentRecords = Math.min(
      readJsonFile(this.#path('sent.json'), sentSchema)?.records ?? 0,
      this.#logRecords,
    )
  }

  static open(dir: string, options: { maxEntries?: number } = {}): VerdictStore {
    return new VerdictStore(dir, options.maxEntries ?? Number.POSITIVE_INFINITY)
  }

  get size(): number {
    return this.#table.size
  }

  get figures() {
    return {
      ...this.#figures,
      entries: this.#table.size,
      residentBytes: this.#table.residentBytes,
      logBytes: this.#logRecords * recordBytes,
      unsent: this.#logRecords - this.#sentRecords,
    }
  }

  /**
   * The content that verdicts are made with from now on. What its SHA-256 lists name turns malicious, durably when
   * this resolves.
   */
  async useContent({ version, parts }: ContentVersion, hashes: HashSet | undefined): Promise<void> {
    this.#hashes = hashes
    if (parts === null) this.#versions.numberOf({ version, parts })
    else this.#versions.use(version, parts)
    const turned: Promise<void>[] = []
    for (const sha256 of hashes?.hashes() ?? []) {
      const code = this.#table.peek(sha256) & 255
      const verdict =
        code === lookupCodes.clean || code === lookupCodes.partial ? this.#listed(sha256, 0) : undefined
      if (verdict !== undefined) turned.push(this.put(verdict))
    }
    await Promise.all(turned)
  }

  /**
   * What is known of the hash at `source[at…at+32]`, as a lookup code; undefined when it must be judged. With
   * `isFresh` a stale verdict must be, too.
   */
  lookup(source: Buffer, at = 0, isFresh = false): LookupCode | undefined {
    const found = this.#table.peek(source, at)
    if (found === 0) return this.#askLists(source, at)
    const code = found & 255
    const version = found >>> 8
    if (version === this.#versions.current()) return code as LookupCode
    const worth = this.#versions.worth(version)
    if (code === lookupCodes.clean && worth >= (isFresh ? standings.current : standings.stale))
      return lookupCodes.clean
    if (code === lookupCodes.partial && worth === standings.current) return lookupCodes.partial
    return this.#askLists(source, at)
  }

  /** The verdict of a hash with its findings. */
  verdict(sha256: Buffer): Verdict | undefined {
    const entry = this.#table.get(sha256)
    const verdict = classOf[entry?.code ?? 0]
    if (entry === undefined || verdict === undefined) return undefined
    const hex = sha256.toString('hex')
    const detailed = this.#details.get(hex)
    if (detailed?.verdict === verdict) return detailed
    return {
      sha256: hex,
      sizeBytes: entry.sizeBytes,
      verdict,
      contentVersion: this.#versions.at(entry.version).version,
      judgedAt: new Date(entry.judgedAtSeconds * 1000).toISOString(),
      findings: [],
    }
  }

  /** Keeps a verdict of the current content; resolves once it is durable. Throws disk_full. */
  async put(verdict: Verdict): Promise<void> {
    const record = {
      sha256: Buffer.from(verdict.sha256, 'hex'),
      code: lookupCodes[verdict.verdict],
      flags: 0,
      version: this.#versions.current(),
      sizeBytes: verdict.sizeBytes,
      judgedAtMs: Date.parse(verdict.judgedAt),
    }
    await this.#write(record, verdict)
  }

  /** Keeps what another scanner judged, unless what is known here is newer. Answers how many were taken. */
  async receive(
    records: Omit<LogRecord, 'flags'>[],
    details: Verdict[],
    versions: ContentVersion[],
  ): Promise<number> {
    const numbers = versions.map((version) => this.#versions.numberOf(version))
    const detailOf = new Map(details.map((detail) => [detail.sha256, detail]))
    const taken = records.filter(({ sha256, code, version, judgedAtMs }) => {
      const known = this.#table.get(sha256)?.judgedAtSeconds ?? -1
      return classOf[code] !== undefined && numbers[version] !== undefined && judgedAtMs >= known * 1000
    })
    await Promise.all(
      taken.map(async (record) => {
        const own = { ...record, flags: foreignFlag, version: numbers[record.version] ?? 0 }
        await this.#write(own, detailOf.get(record.sha256.toString('hex')))
      }),
    )
    return taken.length
  }

  /** What the center has not committed yet, from the oldest on; undefined when there is nothing. */
  unsent(limits: { maxRecords: number; maxDetails: number; maxDetailChars: number }): Unsent | undefined {
    const records: LogRecord[] = []
    const details: Verdict[] = []
    let chars = 0
    let next = this.#sentRecords
    const chunk = Buffer.allocUnsafe(limits.maxRecords * recordBytes)
    const count = readSync(this.#log, chunk, 0, chunk.length, next * recordBytes)
    for (let at = 0; at + recordBytes <= count && next < this.#logRecords; at += recordBytes) {
      const record = decodeLogRecord(chunk, at)
      if (record !== undefined && (record.flags & foreignFlag) === 0 && this.#isCurrent(record)) {
        const detail = this.#details.get(record.sha256.toString('hex'))
        if (detail !== undefined && lookupCodes[detail.verdict] === record.code) {
          chars += JSON.stringify(detail).length
          if (details.length > 0 && (details.length >= limits.maxDetails || chars > limits.maxDetailChars))
            break
          details.push(detail)
        }
        records.push(record)
      }
      next += 1
    }
    if (next === this.#sentRecords) return undefined
    return { generation: this.#generation, next, records, details }
  }

  /** The center committed everything before record `next`. */
  acknowledge(generation: string, next: number): void {
    if (generation !== this.#generation || next <= this.#sentRecords) return
    this.#sentRecords = next
    writeJsonFile(this.#path('sent.json'), { records: next })
  }

  versionAt(number: number): ContentVersion {
    return this.#versions.at(number)
  }

  /** Forgets verdicts on order; durable when it resolves. */
  async forget(what: CacheFlush['what']): Promise<void> {
    if (what.kind === 'hash') {
      const sha256 = Buffer.from(what.sha256, 'hex')
      const empty = { flags: foreignFlag, version: 0, sizeBytes: 0, judgedAtMs: 0 }
      if (this.#table.peek(sha256) !== 0)
        await this.#write({ ...empty, sha256, code: forgottenCode }, undefined)
      return
    }
    const versions = what.kind === 'versions' ? new Set(what.versions) : undefined
    for (const _ of this.#table.retain(
      (_code, version) => versions !== undefined && !versions.has(this.#versions.at(version).version),
    ))
      await others()
    await this.compact()
  }

  /** Counts ages, drops the oldest beyond the limit, and writes the log anew when it is worth it. */
  async maintain(nowMs: number): Promise<void> {
    const isStale = (code: number, version: number) =>
      code === lookupCodes.clean && this.#versions.worth(version) !== standings.current
    this.#figures = await surveyTable(this.#table, isStale, nowMs)
    if (this.#table.size > this.#maxEntries) {
      await evictOldest(this.#table, Math.floor(this.#maxEntries * (1 - evictedShare)))
      await this.compact()
    }
    if (this.#logRecords > this.#table.size * 2 + minGarbageRecords) await this.compact()
  }

  /** Writes the log anew with what the table has. Lookups and puts go on meanwhile. */
  async compact(): Promise<void> {
    const path = this.#path('verdicts.log.new')
    const file = openSync(path, 'w+', 0o600)
    let copied = 0
    let kept = 0
    let sent = 0
    const copyTo = async (end: number) => {
      const chunk = Buffer.allocUnsafe(readChunkBytes)
      while (copied < end) {
        const wanted = Math.min(chunk.length, (end - copied) * recordBytes)
        const { bytesRead } = await readAsync(this.#log, chunk, 0, wanted, copied * recordBytes)
        if (bytesRead < recordBytes) break
        const parts: Buffer[] = []
        for (let at = 0; at + recordBytes <= bytesRead; at += recordBytes) {
          const record = decodeLogRecord(chunk, at)
          if (record !== undefined && this.#isCurrent(record)) {
            parts.push(chunk.subarray(at, at + recordBytes))
            kept += 1
          }
          copied += 1
          if (copied === this.#sentRecords) sent = kept
        }
        await appendFully(file, Buffer.concat(parts))
      }
    }
    try {
      await copyTo(this.#logRecords)
      await this.#exclusively(async () => {
        await copyTo(this.#logRecords)
        await syncAsync(file)
        // The smaller mark first: after a crash in between, some verdicts are told twice, and none is left out.
        writeJsonFile(this.#path('sent.json'), { records: sent })
        renameSync(path, this.#path('verdicts.log'))
        syncDirectory(this.#dir)
        closeSync(this.#log)
        closeSync(file)
        this.#log = openSync(this.#path('verdicts.log'), 'a+', 0o600)
        this.#logRecords = kept
        this.#sentRecords = sent
        this.#generation = randomUUID()
        this.#details.compact((sha256) => this.#table.peek(Buffer.from(sha256, 'hex')) !== 0)
      })
    } catch (error) {
      rmSync(path, { force: true })
      throw this.#toError(error)
    }
  }

  close(): void {
    closeSync(this.#log)
    this.#details.close()
  }

  #path(name: string): string {
    return join(this.#dir, name)
  }

  /** Whether a record of the log is what the table has. */
  #isCurrent({ sha256, code, version, judgedAtMs }: LogRecord): boolean {
    const entry = this.#table.get(sha256)
    return (
      entry?.code === code &&
      entry.version === version &&
      entry.judgedAtSeconds === Math.floor(judgedAtMs / 1000)
    )
  }

  /** The verdict of a hash that a SHA-256 list of the current content names. */
  #listed(source: Buffer, at: number): Verdict | undefined {
    const name = this.#hashes?.find(source, at)
    if (name === undefined) return undefined
    const sha256 = source.toString('hex', at, at + 32)
    return {
      sha256,
      sizeBytes: this.#table.get(source, at)?.sizeBytes ?? 0,
      verdict: 'malicious',
      contentVersion: this.#versions.at(this.#versions.current()).version,
      judgedAt: new Date().toISOString(),
      findings: [hashFinding('sha256', sha256, name)],
    }
  }

  #askLists(source: Buffer, at: number): LookupCode | undefined {
    const verdict = this.#listed(source, at)
    if (verdict === undefined) return undefined
    // The answer follows from the list: it does not wait for the disk, and comes again if that is full.
    this.put(verdict).catch(() => undefined)
    return lookupCodes.malicious
  }

  #write(record: LogRecord, verdict: Verdict | undefined): Promise<void> {
    const detail = verdict !== undefined && hasDetails(verdict) ? verdict : undefined
    return new Promise((resolve, reject) => {
      this.#queue.push({ record, detail, resolve, reject })
      if (!this.#isFlushing) void this.#flush()
    })
  }

  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** Group commit: whatever gathered while the disk was busy goes in one write and one sync. */
  async #flush(): Promise<void> {
    this.#isFlushing = true
    await Promise.resolve()
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        await this.#exclusively(async () => await this.#commit(batch))
        for (const { resolve } of batch) resolve()
      } catch (cause) {
        for (const { reject } of batch) reject(this.#toError(cause))
      }
    }
    this.#isFlushing = false
  }

  #toError(cause: unknown): unknown {
    return isDiskFullError(cause) ? new AppError('disk_full', { path: this.#dir }, { cause }) : cause
  }

  async #commit(batch: Write[]): Promise<void> {
    // Findings first: a verdict must never be there without its evidence.
    await this.#details.append(batch.flatMap(({ detail }) => (detail === undefined ? [] : [detail])))
    try {
      await appendFully(this.#log, Buffer.concat(batch.map(({ record }) => encodeLogRecord(record))))
      await syncAsync(this.#log)
    } catch (error) {
      ftruncateSync(this.#log, this.#logRecords * recordBytes)
      throw error
    }
    for (const { record } of batch) {
      const { sha256, code, version, sizeBytes, judgedAtMs } = record
      this.#apply(sha256, 0, code, version, sizeBytes, judgedAtMs)
    }
    this.#logRecords += batch.length
  }

  #apply(
    source: Buffer,
    at: number,
    code: number,
    version: number,
    sizeBytes: number,
    judgedAtMs: number,
  ): void {
    if (code === forgottenCode) this.#table.delete(source, at)
    else if (classOf[code] !== undefined)
      this.#table.set(source, at, {
        code,
        version,
        sizeBytes,
        judgedAtSeconds: Math.floor(judgedAtMs / 1000),
      })
  }

  #readLog(): void {
    const chunk = Buffer.allocUnsafe(readChunkBytes)
    for (;;) {
      const count = readSync(this.#log, chunk, 0, chunk.length, this.#logRecords * recordBytes)
      const whole = count - (count % recordBytes)
      visitLogRecords(chunk, whole, (at, code, version, sizeBytes, judgedAtMs) =>
        this.#apply(chunk, at, code, version, sizeBytes, judgedAtMs),
      )
      this.#logRecords += whole / recordBytes
      if (count < chunk.length) break
    }
    ftruncateSync(this.#log, this.#logRecords * recordBytes)
  }
}
