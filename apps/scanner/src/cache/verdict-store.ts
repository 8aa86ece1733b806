import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as others } from 'node:timers/promises'
import {
  AppError,
  type CacheFlush,
  type ContentVersion,
  type LookupCode,
  lookupCodes,
  type Verdict,
} from '@ringwall/contracts'
import { type HashSet, hashFinding } from '@ringwall/engines'
import { isDiskFullError, makePrivateDirectory } from '@ringwall/runtime'
import { evictOldest, surveyTable } from './aging.ts'
import { type ContentVersions, openContentVersions, standings } from './content-versions.ts'
import { wordsOf } from './hash-words.ts'
import { foreignFlag, forgottenCode, type LogRecord, recordBytes } from './log-record.ts'
import { Outbox, type Unsent, type UnsentLimits } from './outbox.ts'
import { applyRecord, classOf, loadTable, markOf } from './table-loading.ts'
import { removeSnapshot, writeSnapshot } from './table-snapshot.ts'
import { createGroupCommit, createTurns } from './turns.ts'
import { hasDetails, VerdictDetails } from './verdict-details.ts'
import { VerdictLog } from './verdict-log.ts'
import type { VerdictTable } from './verdict-table.ts'

/** When there are too many, this share of the oldest goes at once. */
const evictedShare = 0.1
/** The log is written anew when more than half of it is of no use, and enough for it to matter. */
const minGarbageRecords = 100_000
/** A snapshot is written when the log behind the last one would hold up a start: some seconds of replay at most. */
const replayedShare = 1 / 8
const minReplayedRecords = 250_000
/** A snapshot leaves as much room again to verdicts: they matter, it only makes starts fast. */
const snapshotRoom = 2

type Write = { record: LogRecord; detail: Verdict | undefined }
/** How many entries are kept, and after how many records of the log a snapshot may be due. */
export type StoreOptions = { maxEntries?: number; snapshotAfterRecords?: number }
export type StoreFigures = { staleEntries: number; ages: number[] }

/**
 * Verdicts of the whole data centre, by content. `put` resolves when the verdict is on disk; after kill -9 or a
 * power cut everything that resolved is there. What is not clean keeps its findings in a second log.
 *
 * Under another content a clean verdict stays in use: as it is when only SHA-256 lists changed (the new lists are
 * asked at once), as stale when rules or engines did. Anything else is judged anew when it is next seen.
 *
 * The log is also the outbox to the center. A snapshot of the table beside it makes starts fast.
 */
export class VerdictStore {
  readonly #dir: string
  readonly #snapshotPath: string
  readonly #maxEntries: number
  readonly #snapshotAfterRecords: number
  readonly #versions: ContentVersions
  readonly #log: VerdictLog
  readonly #table: VerdictTable
  readonly #details: VerdictDetails
  readonly #outbox: Outbox
  readonly #inTurn = createTurns()
  /** Of what drops entries, writes the log anew, or takes a snapshot: one must not see another half done. */
  readonly #tidyInTurn = createTurns()
  readonly #write = createGroupCommit<Write>(async (batch) => {
    await this.#inTurn(async () => await this.#commit(batch)).catch((error) => this.#fail(error))
  })
  #snapshotRecords: number
  #hashes: HashSet | undefined
  #figures: StoreFigures = { staleEntries: 0, ages: [0, 0, 0, 0, 0] }

  private constructor(dir: string, { maxEntries, snapshotAfterRecords }: StoreOptions) {
    this.#dir = dir
    this.#maxEntries = maxEntries ?? Number.POSITIVE_INFINITY
    this.#snapshotAfterRecords = snapshotAfterRecords ?? minReplayedRecords
    makePrivateDirectory(dir)
    this.#snapshotPath = join(dir, 'table.snapshot')
    this.#versions = openContentVersions(dir)
    this.#log = new VerdictLog(dir)
    const { table, snapshotRecords } = loadTable(this.#log, this.#snapshotPath)
    this.#table = table
    this.#snapshotRecords = snapshotRecords
    this.#details = new VerdictDetails(join(dir, 'findings.log'))
    const isCurrent = (record: LogRecord) => this.#isCurrent(record)
    this.#outbox = new Outbox(dir, { log: this.#log, details: this.#details, isCurrent })
  }

  static open(dir: string, options: StoreOptions = {}): VerdictStore {
    return new VerdictStore(dir, options)
  }

  get size(): number {
    return this.#table.size
  }

  get figures() {
    return {
      ...this.#figures,
      entries: this.#table.size,
      residentBytes: this.#table.residentBytes,
      logBytes: this.#log.records * recordBytes,
      unsent: this.#log.records - this.#outbox.sentRecords,
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
      const code = this.#table.peek(wordsOf(sha256)) & 255
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
    return this.#codeOf(this.#table.peek(wordsOf(source, at)), isFresh) ?? this.#askLists(source, at)
  }

  /** `lookup` for all hashes of `source`: fills in `codes`, and answers the places of what must be judged. */
  lookupAll(source: Buffer, codes: Uint8Array, isFresh = false): number[] {
    const strangers: number[] = []
    const found = new Int32Array(codes.length)
    this.#table.peekAll(wordsOf(source, 0, codes.length), found)
    for (let place = 0; place < codes.length; place += 1) {
      const code = this.#codeOf(found[place] ?? 0, isFresh) ?? this.#askLists(source, place * 32)
      if (code === undefined) strangers.push(place)
      else codes[place] = code
    }
    return strangers
  }

  /** The verdict of a hash with its findings. */
  verdict(sha256: Buffer): Verdict | undefined {
    const entry = this.#table.get(wordsOf(sha256))
    const verdict = classOf[entry?.code ?? 0]
    // What a lookup answered from a list may not be written yet.
    const listed = verdict === 'malicious' ? undefined : this.#listed(sha256, 0)
    if (listed !== undefined || entry === undefined || verdict === undefined) return listed
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
    await this.#write({ record, detail: hasDetails(verdict) ? verdict : undefined })
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
      const known = this.#table.get(wordsOf(sha256))?.judgedAtSeconds ?? -1
      return classOf[code] !== undefined && numbers[version] !== undefined && judgedAtMs >= known * 1000
    })
    await Promise.all(
      taken.map(async (record) => {
        const own = { ...record, flags: foreignFlag, version: numbers[record.version] ?? 0 }
        const detail = detailOf.get(record.sha256.toString('hex'))
        await this.#write({
          record: own,
          detail: detail !== undefined && hasDetails(detail) ? detail : undefined,
        })
      }),
    )
    return taken.length
  }

  /** What the center has not committed yet, from the oldest on; undefined when there is nothing. */
  unsent(limits: UnsentLimits): Unsent | undefined {
    return this.#outbox.unsent(limits)
  }

  /** The center committed everything before record `next`. */
  acknowledge(generation: string, next: number): void {
    this.#outbox.acknowledge(generation, next)
  }

  versionAt(number: number): ContentVersion {
    return this.#versions.at(number)
  }

  /** Forgets verdicts on order; durable when it resolves. */
  async forget(what: CacheFlush['what']): Promise<void> {
    if (what.kind === 'hash') {
      const sha256 = Buffer.from(what.sha256, 'hex')
      const record = {
        sha256,
        code: forgottenCode,
        flags: foreignFlag,
        version: 0,
        sizeBytes: 0,
        judgedAtMs: 0,
      }
      if (this.#table.peek(wordsOf(sha256)) !== 0) await this.#write({ record, detail: undefined })
      return
    }
    const versions = what.kind === 'versions' ? new Set(what.versions) : undefined
    await this.#tidyInTurn(async () => {
      const survives = (_code: number, version: number) =>
        versions !== undefined && !versions.has(this.#versions.at(version).version)
      for (const _ of this.#table.retain(survives)) await others()
      await this.#rewriteLog()
    })
  }

  /** Counts ages, drops the oldest beyond the limit, writes the log anew and takes a snapshot when it is worth it. */
  async maintain(nowMs: number): Promise<void> {
    await this.#tidyInTurn(async () => {
      const isStale = (code: number, version: number) =>
        code === lookupCodes.clean && this.#versions.worth(version) !== standings.current
      this.#figures = await surveyTable(this.#table, isStale, nowMs)
      if (this.#table.size > this.#maxEntries) {
        await evictOldest(this.#table, Math.floor(this.#maxEntries * (1 - evictedShare)))
        await this.#rewriteLog()
      }
      if (this.#log.records > this.#table.size * 2 + minGarbageRecords) await this.#rewriteLog()
      const behind = this.#log.records - this.#snapshotRecords
      if (behind > Math.max(this.#snapshotAfterRecords, this.#table.size * replayedShare) && this.#hasRoom())
        await this.#takeSnapshot()
    })
  }

  /** Writes the log anew with what the table has. Lookups and puts go on meanwhile. */
  async compact(): Promise<void> {
    await this.#tidyInTurn(async () => await this.#rewriteLog())
  }

  /** Writes down the table, for the next start. Lookups and puts go on meanwhile. */
  async snapshot(): Promise<void> {
    await this.#tidyInTurn(async () => await this.#takeSnapshot())
  }

  close(): void {
    this.#log.close()
    this.#details.close()
  }

  async #rewriteLog(): Promise<void> {
    const copy = this.#log.copy(
      (record) => this.#isCurrent(record),
      () => this.#outbox.sentRecords,
    )
    try {
      await copy.upTo(this.#log.records)
      await this.#inTurn(async () => {
        await copy.upTo(this.#log.records)
        await copy.replace(() => {
          // It speaks of record numbers that are about to change.
          removeSnapshot(this.#snapshotPath)
          this.#snapshotRecords = 0
          // The smaller mark first: after a crash in between, some verdicts are told twice, and none is left out.
          this.#outbox.renumber(copy.mark())
        })
        this.#details.compact((sha256) => this.#table.peek(wordsOf(Buffer.from(sha256, 'hex'))) !== 0)
      })
    } catch (error) {
      copy.discard()
      this.#fail(error)
    }
  }

  async #takeSnapshot(): Promise<void> {
    if (this.#log.records === 0) return
    const mark = markOf(this.#log)
    await writeSnapshot(this.#snapshotPath, this.#table, mark).catch((error) => this.#fail(error))
    this.#snapshotRecords = mark.records
  }

  #hasRoom(): boolean {
    const { bavail, bsize } = statfsSync(this.#dir)
    return bavail * bsize > this.#table.residentBytes * snapshotRoom
  }

  /** Whether a record of the log is what the table has. */
  #isCurrent({ sha256, code, version, judgedAtMs }: LogRecord): boolean {
    const entry = this.#table.get(wordsOf(sha256))
    return (
      entry?.code === code &&
      entry.version === version &&
      entry.judgedAtSeconds === Math.floor(judgedAtMs / 1000)
    )
  }

  /** The code of what the table has (see `peek`), if it is of use under the current content. */
  #codeOf(found: number, isFresh: boolean): LookupCode | undefined {
    if (found === 0) return undefined
    const code = found & 255
    const version = found >>> 8
    if (version === this.#versions.current()) return code as LookupCode
    const worth = this.#versions.worth(version)
    if (code === lookupCodes.clean && worth >= (isFresh ? standings.current : standings.stale))
      return lookupCodes.clean
    if (code === lookupCodes.partial && worth === standings.current) return lookupCodes.partial
    return undefined
  }

  /** The verdict of a hash that a SHA-256 list of the current content names. */
  #listed(source: Buffer, at: number): Verdict | undefined {
    const name = this.#hashes?.find(source, at)
    if (name === undefined) return undefined
    const sha256 = source.toString('hex', at, at + 32)
    return {
      sha256,
      sizeBytes: this.#table.get(wordsOf(source, at))?.sizeBytes ?? 0,
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

  #fail(cause: unknown): never {
    throw isDiskFullError(cause) ? new AppError('disk_full', { path: this.#dir }, { cause }) : cause
  }

  async #commit(batch: Write[]): Promise<void> {
    // Findings first: a verdict must never be there without its evidence.
    await this.#details.append(batch.flatMap(({ detail }) => (detail === undefined ? [] : [detail])))
    const records = batch.map(({ record }) => record)
    await this.#log.append(records, () => {
      for (const { sha256, code, version, sizeBytes, judgedAtMs } of records)
        applyRecord(this.#table, wordsOf(sha256), 0, code, version, sizeBytes, judgedAtMs)
    })
  }
}
