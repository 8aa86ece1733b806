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
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { syncDirectory } from '@ringwall/runtime'
import { decodeLogRecord, encodeLogRecord, type LogRecord, recordBytes } from './log-record.ts'
import { appendFully } from './verdict-details.ts'

const readAsync = promisify(read)
const syncAsync = promisify(fdatasync)
const chunkBytes = 64 * 1024 * recordBytes

/** The records of a copy in the making, and how many of those before the mark it has. */
export type LogCopy = {
  /** Copies the records before `end`, which are there already. */
  upTo: (end: number) => Promise<void>
  /** The mark in the copy: what was before it is before it. */
  mark: () => number
  /** Puts the copy in the place of the log. `beforeRename` runs when the copy is durable. */
  replace: (beforeRename: () => void) => Promise<void>
  discard: () => void
}

/** The file of all verdicts, in the order in which they were made. It is the truth; everything else follows from it. */
export class VerdictLog {
  readonly #path: string
  #file: number
  #records = 0

  /** `replay` must be called once before anything else. */
  constructor(dir: string) {
    this.#path = join(dir, 'verdicts.log')
    rmSync(`${this.#path}.new`, { force: true })
    this.#file = openSync(this.#path, 'a+', 0o600)
    this.#records = Math.floor(fstatSync(this.#file).size / recordBytes)
  }

  get records(): number {
    return this.#records
  }

  /** Reads everything from record `from` on, in chunks, and cuts off a record that is not whole. */
  replay(from: number, visit: (chunk: Buffer) => void): void {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes)
    let next = from
    for (;;) {
      const count = readSync(this.#file, chunk, 0, chunk.length, next * recordBytes)
      const whole = count - (count % recordBytes)
      visit(chunk.subarray(0, whole))
      next += whole / recordBytes
      if (count < chunk.length) break
    }
    this.#records = next
    ftruncateSync(this.#file, next * recordBytes)
  }

  /** The bytes of up to `count` records from `from` on. */
  read(from: number, count: number): Buffer {
    const bytes = Buffer.alloc(Math.max(0, Math.min(count, this.#records - from)) * recordBytes)
    return bytes.subarray(0, readSync(this.#file, bytes, 0, bytes.length, from * recordBytes))
  }

  /** Durable when it resolves; a failed write leaves no trace. `written` runs before anybody else sees the records. */
  async append(records: LogRecord[], written: () => void): Promise<void> {
    try {
      await appendFully(this.#file, Buffer.concat(records.map(encodeLogRecord)))
      await syncAsync(this.#file)
    } catch (error) {
      ftruncateSync(this.#file, this.#records * recordBytes)
      throw error
    }
    written()
    this.#records += records.length
  }

  /** Begins a copy with the records that `isWanted`; the log is in use meanwhile. `mark` may move forward. */
  copy(isWanted: (record: LogRecord) => boolean, mark: () => number): LogCopy {
    const path = `${this.#path}.new`
    const file = openSync(path, 'w', 0o600)
    const chunk = Buffer.allocUnsafeSlow(chunkBytes)
    let copied = 0
    let kept = 0
    let keptBeforeMark = 0
    let isOpen = true
    const close = () => {
      if (isOpen) closeSync(file)
      isOpen = false
    }
    const upTo = async (end: number) => {
      while (copied < end) {
        const wanted = Math.min(chunk.length, (end - copied) * recordBytes)
        const { bytesRead } = await readAsync(this.#file, chunk, 0, wanted, copied * recordBytes)
        if (bytesRead < recordBytes) break
        const parts: Buffer[] = []
        for (let at = 0; at + recordBytes <= bytesRead; at += recordBytes) {
          const record = decodeLogRecord(chunk, at)
          if (record !== undefined && isWanted(record)) {
            parts.push(chunk.subarray(at, at + recordBytes))
            kept += 1
          }
          copied += 1
          if (copied === mark()) keptBeforeMark = kept
        }
        await appendFully(file, Buffer.concat(parts))
      }
    }
    return {
      upTo,
      mark: () => keptBeforeMark,
      replace: async (beforeRename) => {
        await syncAsync(file)
        beforeRename()
        renameSync(path, this.#path)
        syncDirectory(dirname(this.#path))
        closeSync(this.#file)
        close()
        this.#file = openSync(this.#path, 'a+', 0o600)
        this.#records = kept
      },
      discard: () => {
        close()
        rmSync(path, { force: true })
      },
    }
  }

  close(): void {
    closeSync(this.#file)
  }
}
