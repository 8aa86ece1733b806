import { closeSync, fdatasync, ftruncateSync, openSync, readFileSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { type Verdict, verdictSchema } from '@ringwall/contracts'
import { crc32c, writeFileAtomic } from '@ringwall/runtime'

const writeAsync = promisify(write)
const syncAsync = promisify(fdatasync)

/** Writes all of `bytes` at the end of a file. */
export async function appendFully(file: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await writeAsync(file, bytes, done, bytes.length - done, null)).bytesWritten
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

/** Whether a verdict says more than its class. */
export const hasDetails = (verdict: Verdict): boolean =>
  verdict.findings.length > 0 || verdict.reason !== undefined

/** Findings of what is not clean: a log of lines, each with its own checksum; the newest of each hash in memory. */
export class VerdictDetails {
  readonly #path: string
  #file: number
  #bytes = 0
  readonly #known = new Map<string, Verdict>()

  constructor(path: string) {
    this.#path = path
    this.#file = openSync(path, 'a+', 0o600)
    const bytes = readFileSync(path)
    for (let next = bytes.indexOf(10); next >= 0; next = bytes.indexOf(10, this.#bytes)) {
      const verdict = decodeDetail(bytes.subarray(this.#bytes, next))
      if (verdict !== undefined) this.#known.set(verdict.sha256, verdict)
      this.#bytes = next + 1
    }
    ftruncateSync(this.#file, this.#bytes)
  }

  get(sha256: string): Verdict | undefined {
    return this.#known.get(sha256)
  }

  /** Durable when it resolves; a failed write leaves no trace. */
  async append(verdicts: Verdict[]): Promise<void> {
    if (verdicts.length === 0) return
    const bytes = Buffer.concat(verdicts.map(encodeDetail))
    try {
      await appendFully(this.#file, bytes)
      await syncAsync(this.#file)
    } catch (error) {
      ftruncateSync(this.#file, this.#bytes)
      throw error
    }
    this.#bytes += bytes.length
    for (const verdict of verdicts) this.#known.set(verdict.sha256, verdict)
  }

  /** Writes the log anew with what `isWanted`. */
  compact(isWanted: (sha256: string) => boolean): void {
    for (const sha256 of this.#known.keys()) if (!isWanted(sha256)) this.#known.delete(sha256)
    const bytes = Buffer.concat([...this.#known.values()].map(encodeDetail))
    writeFileAtomic(this.#path, bytes)
    closeSync(this.#file)
    this.#file = openSync(this.#path, 'a+', 0o600)
    this.#bytes = bytes.length
  }

  close(): void {
    closeSync(this.#file)
  }
}
