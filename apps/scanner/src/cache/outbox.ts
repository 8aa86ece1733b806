import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { lookupCodes, type Verdict } from '@ringwall/contracts'
import { readJsonFile, writeJsonFile } from '@ringwall/runtime'
import { z } from 'zod'
import { decodeLogRecord, foreignFlag, type LogRecord, recordBytes } from './log-record.ts'
import type { VerdictDetails } from './verdict-details.ts'
import type { VerdictLog } from './verdict-log.ts'

const sentSchema = z.object({ records: z.number().int().nonnegative() })

export type UnsentLimits = { maxRecords: number; maxDetails: number; maxDetailChars: number }
export type Unsent = { generation: string; next: number; records: LogRecord[]; details: Verdict[] }

/** What the center has not committed yet: the log from a record number on, which is kept in a file of its own. */
export class Outbox {
  readonly #path: string
  readonly #log: VerdictLog
  readonly #details: VerdictDetails
  readonly #isCurrent: (record: LogRecord) => boolean
  #sentRecords: number
  /** Changes when record numbers do. */
  #generation: string = randomUUID()

  constructor(
    dir: string,
    options: { log: VerdictLog; details: VerdictDetails; isCurrent: (record: LogRecord) => boolean },
  ) {
    this.#path = join(dir, 'sent.json')
    this.#log = options.log
    this.#details = options.details
    this.#isCurrent = options.isCurrent
    this.#sentRecords = Math.min(readJsonFile(this.#path, sentSchema)?.records ?? 0, options.log.records)
  }

  /** How many records of the log the center has. */
  get sentRecords(): number {
    return this.#sentRecords
  }

  /** From the oldest on; undefined when there is nothing. */
  unsent(limits: UnsentLimits): Unsent | undefined {
    const records: LogRecord[] = []
    const details: Verdict[] = []
    let chars = 0
    let next = this.#sentRecords
    const chunk = this.#log.read(next, limits.maxRecords)
    for (let at = 0; at + recordBytes <= chunk.length; at += recordBytes) {
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
    writeJsonFile(this.#path, { records: next })
  }

  /** The log is about to be replaced by one in which so many records are sent. */
  renumber(sentRecords: number): void {
    writeJsonFile(this.#path, { records: sentRecords })
    this.#sentRecords = sentRecords
    this.#generation = randomUUID()
  }
}
