import { closeSync, fdatasync, ftruncateSync, openSync, readFileSync, readSync, write } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  AppError,
  type LookupCode,
  lookupCodes,
  type Verdict,
  type VerdictClass,
  verdictSchema,
} from '@ringwall/contracts'
import { crc32c, isDiskFullError, makePrivateDirectory, readJsonFile, writeJsonFile } from '@ringwall/runtime'
import { z } from 'zod'
import { decodeLogRecord, encodeLogRecord, recordBytes } from './verdict-log.ts'
import { VerdictTable } from './verdict-table.ts'

const writeAsync = promisify(write)
const syncAsync = promisify(fdatasync)
const readChunkBytes = 64 * 1024 * recordBytes
const maxVersions = 60_000

const classOf: Record<number, VerdictClass> = {
  [lookupCodes.clean]: 'clean',
  [lookupCodes.suspicious]: 'suspicious',
  [lookupCodes.malicious]: 'malicious',
  [lookupCodes.partial]: 'partial',
}

type Pending = {
  log: Buffer
  details: Buffer | undefined
  resolve: () => void
  reject: (error: unknown) => void
}

/**
 * Verdicts of the whole data centre, by content. `put` resolves when the verdict is on disk; after kill -9 or a
 * power cut everything that resolved is there. What is not clean keeps its findings in a second log, of which
 * each line carries its own checksum.
 *
 * A malicious or suspicious verdict stays valid when the content version changes; a clean or partial one counts as
 * unknown then: new rules may know better.
 */
export class VerdictStore {
  readonly #table = new VerdictTable()
  readonly #details = new Map<string, Verdict>()
  readonly #dir: string
  readonly #versions: string[]
  readonly #log: number
  readonly #detailLog: number
  #logBytes = 0
  #detailBytes = 0
  #current = -1
  #queue: Pending[] = []
  #isFlushing = false

  private constructor(dir: string) {
    this.#dir = dir
    makePrivateDirectory(dir)
    this.#versions =
      readJsonFile(join(dir, 'versions.json'), z.array(z.string().max(80)).max(maxVersions + 1)) ?? []
    this.#log = openSync(join(dir, 'verdicts.log'), 'a+', 0o600)
    this.#detailLog = openSync(join(dir, 'findings.log'), 'a+', 0o600)
    this.#readLog()
    this.#readDetails()
  }

  static open(dir: string): VerdictStore {
    return new VerdictStore(dir)
  }

  get size(): number {
    return this.#table.size
  }

  /** The content version that verdicts are made with from now on. */
  useVersion(version: string): void {
    let index = this.#versions.indexOf(version)
    if (index < 0) {
      index = this.#versions.push(version) - 1
      writeJsonFile(join(this.#dir, 'versions.json'), this.#versions)
    }
    this.#current = index
  }

  /** What is known of the hash at `source[at…at+32]`, as a lookup code; undefined when it must be judged. */
  lookup(source: Buffer, at = 0): LookupCode | undefined {
    const entry = this.#table.get(source, at)
    if (entry === undefined) return undefined
    // New content may find what the old one missed, and clear what it was wrong about.
    return entry.version === this.#current ? (entry.code as LookupCode) : undefined
  }

  /** The verdict of a hash with its findings. */
  verdict(sha256: Buffer): Verdict | undefined {
    const hex = sha256.toString('hex')
    const entry = this.#table.get(sha256)
    if (entry === undefined) return undefined
    const detailed = this.#details.get(hex)
    if (detailed !== undefined && lookupCodes[detailed.verdict] === entry.code) return detailed
    const bytes = Buffer.alloc(recordBytes)
    readSync(this.#log, bytes, 0, recordBytes, entry.record * recordBytes)
    const record = decodeLogRecord(bytes, 0)
    const verdict = classOf[entry.code]
    if (record === undefined || verdict === undefined) return undefined
    const judgedAt = new Date(record.judgedAtMs).toISOString()
    return {
      sha256: hex,
      sizeBytes: record.sizeBytes,
      verdict,
      contentVersion: this.#versions[entry.version] ?? '',
      judgedAt,
      findings: [],
    }
  }

  /** Keeps a verdict of the current content version; resolves once it is durable. Throws disk_full. */
  put(verdict: Verdict): Promise<void> {
    const log = encodeLogRecord({
      sha256: Buffer.from(verdict.sha256, 'hex'),
      code: lookupCodes[verdict.verdict],
      version: this.#current,
      sizeBytes: verdict.sizeBytes,
      judgedAtMs: Date.parse(verdict.judgedAt),
    })
    const details =
      verdict.findings.length > 0 || verdict.reason !== undefined ? encodeDetail(verdict) : undefined
    return new Promise((resolve, reject) => {
      const done = () => {
        if (details !== undefined) this.#details.set(verdict.sha256, verdict)
        resolve()
      }
      this.#queue.push({ log, details, resolve: done, reject })
      if (!this.#isFlushing) void this.#flush()
    })
  }

  close(): void {
    closeSync(this.#log)
    closeSync(this.#detailLog)
  }

  /** Group commit: whatever gathered while the disk was busy goes in one write and one sync. */
  async #flush(): Promise<void> {
    this.#isFlushing = true
    await Promise.resolve()
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        await this.#commit(batch)
        for (const { resolve } of batch) resolve()
      } catch (cause) {
        const error = isDiskFullError(cause)
          ? new AppError('disk_full', { path: this.#dir }, { cause })
          : cause
        for (const { reject } of batch) reject(error)
      }
    }
    this.#isFlushing = false
  }

  async #commit(batch: Pending[]): Promise<void> {
    const details = Buffer.concat(batch.flatMap(({ details: bytes }) => (bytes === undefined ? [] : [bytes])))
    const log = Buffer.concat(batch.map(({ log: bytes }) => bytes))
    try {
      // Findings first: a verdict must never be there without its evidence.
      if (details.length > 0) {
        await writeFully(this.#detailLog, details)
        await syncAsync(this.#detailLog)
      }
      await writeFully(this.#log, log)
      await syncAsync(this.#log)
    } catch (error) {
      ftruncateSync(this.#detailLog, this.#detailBytes)
      ftruncateSync(this.#log, this.#logBytes)
      throw error
    }
    for (let offset = 0; offset < log.length; offset += recordBytes) {
      const entry = {
        code: log.readUInt8(offset + 32),
        version: log.readUInt16LE(offset + 34),
        record: (this.#logBytes + offset) / recordBytes,
      }
      this.#table.set(log, offset, entry)
    }
    this.#logBytes += log.length
    this.#detailBytes += details.length
  }

  #readLog(): void {
    const chunk = Buffer.alloc(readChunkBytes)
    for (let position = 0; ; ) {
      const count = readSync(this.#log, chunk, 0, chunk.length, position)
      const whole = count - (count % recordBytes)
      for (let offset = 0; offset < whole; offset += recordBytes) {
        const record = decodeLogRecord(chunk, offset)
        if (record === undefined || classOf[record.code] === undefined) continue
        this.#table.set(chunk, offset, {
          code: record.code,
          version: record.version,
          record: (position + offset) / recordBytes,
        })
      }
      position += whole
      this.#logBytes = position
      if (count < chunk.length) break
    }
    ftruncateSync(this.#log, this.#logBytes)
  }

  #readDetails(): void {
    const bytes = readFileSync(join(this.#dir, 'findings.log'))
    let end = 0
    for (let next = bytes.indexOf(10, end); next >= 0; next = bytes.indexOf(10, end)) {
      const verdict = decodeDetail(bytes.subarray(end, next))
      if (verdict !== undefined) this.#details.set(verdict.sha256, verdict)
      end = next + 1
    }
    this.#detailBytes = end
    ftruncateSync(this.#detailLog, end)
  }
}

function encodeDetail(verdict: Verdict): Buffer {
  const json = Buffer.from(JSON.stringify(verdict))
  return Buffer.concat([
    Buffer.from(`${crc32c(json).toString(16).padStart(8, '0')} `),
    json,
    Buffer.from('\n'),
  ])
}

function decodeDetail(line: Buffer): Verdict | undefined {
  const json = line.subarray(9)
  if (crc32c(json) !== Number.parseInt(line.toString('latin1', 0, 8), 16)) return undefined
  const parsed = verdictSchema.safeParse(JSON.parse(json.toString()))
  return parsed.success ? parsed.data : undefined
}

async function writeFully(file: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await writeAsync(file, bytes, done, bytes.length - done, null)).bytesWritten
}
