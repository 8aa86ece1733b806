import { createHash } from 'node:crypto'
import { closeSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Logger, makePrivateDirectory } from '@ringwall/runtime'

const headerBytes = 36
const hashBytes = 32
const segments = 16
const minSegmentBytes = 64 * 1024
const nameOf = (number: number) => `${String(number).padStart(10, '0')}.contents`
const numberIn = (name: string) => /^(\d{10})\.contents$/.exec(name)?.[1]

export type KeptContent = {
  sha256: Buffer
  /** Its bytes; undefined where they are not what the hash says, as after a kill or on a bad disk. */
  read: () => Promise<Buffer | undefined>
}

/**
 * Contents that were uploaded, the newest within a budget of disk: what is to be judged again needs no machine then.
 * Files of `[SHA-256 32][length u32 BE][bytes]` that are only ever appended to; the oldest goes as a whole. Each start
 * begins a new one, so that what a kill cut short stands at an end. Nothing is in memory and nothing is synced: what
 * is lost is asked of a machine. With a budget of 0 nothing is kept.
 */
export function openKeptContents(
  dir: string,
  options: { capBytes: number; maxContentBytes: number; logger: Logger },
) {
  const { capBytes, maxContentBytes, logger } = options
  const segmentBytes = Math.max(minSegmentBytes, Math.ceil(capBytes / segments))
  /** By number, oldest first. */
  const sizes = new Map<number, number>()
  let writing: { number: number; file: number } | undefined
  let hasFailed = false

  function remove(number: number): void {
    sizes.delete(number)
    rmSync(join(dir, nameOf(number)), { force: true })
  }
  const total = () => [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)

  function evict(): void {
    for (const number of [...sizes.keys()]) {
      if (total() <= capBytes) return
      if (number === writing?.number) closeWriting()
      remove(number)
    }
  }
  function closeWriting(): void {
    if (writing !== undefined) closeSync(writing.file)
    writing = undefined
  }

  function segmentFor(bytes: number): { number: number; file: number } {
    const used = sizes.get(writing?.number ?? -1) ?? 0
    if (writing !== undefined && used + bytes <= segmentBytes) return writing
    closeWriting()
    const number = Math.max(0, ...sizes.keys()) + 1
    writing = { number, file: openSync(join(dir, nameOf(number)), 'wx', 0o600) }
    sizes.set(number, 0)
    return writing
  }

  function append(sha256: Buffer, bytes: Buffer): void {
    const header = Buffer.concat([sha256, Buffer.alloc(headerBytes - hashBytes)])
    header.writeUInt32BE(bytes.length, hashBytes)
    const record = Buffer.concat([header, bytes])
    const { number, file } = segmentFor(record.length)
    for (let done = 0; done < record.length; ) done += writeSync(file, record, done)
    sizes.set(number, (sizes.get(number) ?? 0) + record.length)
    evict()
  }

  makePrivateDirectory(dir)
  for (const name of readdirSync(dir).sort()) {
    const number = numberIn(name)
    if (number !== undefined) sizes.set(Number(number), statSync(join(dir, name)).size)
  }
  evict()

  async function* contentsOf(file: FileHandle): AsyncGenerator<KeptContent> {
    const { size } = await file.stat()
    for (let at = 0; at + headerBytes <= size; ) {
      const { buffer: header } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, at)
      const start = at + headerBytes
      const length = header.readUInt32BE(hashBytes)
      if (length > maxContentBytes || start + length > size) return
      const sha256 = header.subarray(0, hashBytes)
      yield {
        sha256,
        read: async () => {
          const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start)
          const isWhole = bytesRead === length && createHash('sha256').update(buffer).digest().equals(sha256)
          return isWhole ? buffer : undefined
        },
      }
      at = start + length
    }
  }

  return {
    /** Keeps a content; one that is too large, or for which there is no room, is not kept. */
    keep: (sha256: Buffer, bytes: Buffer): void => {
      if (bytes.length > maxContentBytes || bytes.length + headerBytes > segmentBytes || capBytes === 0)
        return
      try {
        append(sha256, bytes)
        hasFailed = false
      } catch (error) {
        // The rest of a record that was cut short must not be taken for the next one.
        closeWriting()
        if (!hasFailed) logger.warn({ error }, 'contents cannot be kept')
        hasFailed = true
      }
    },

    /** What is kept, of the newest files first; a content may come more than once. */
    async *all(): AsyncGenerator<KeptContent> {
      for (const number of [...sizes.keys()].reverse()) {
        const file = await open(join(dir, nameOf(number)), 'r').catch(() => undefined)
        if (file === undefined) continue
        try {
          yield* contentsOf(file)
        } finally {
          await file.close()
        }
      }
    },
    figures: () => ({ keptBytes: total(), maxKeptBytes: capBytes }),
    close: closeWriting,
  }
}
export type KeptContents = ReturnType<typeof openKeptContents>
