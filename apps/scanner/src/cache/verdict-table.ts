import { hashWords } from './hash-words.ts'
import {
  bytesOfShard,
  codeAt,
  entryAt,
  findSlot,
  freeSlot,
  initialSlots,
  makeShard,
  maxLoad,
  rebuilt,
  type Shard,
  secondsAt,
  setEntry,
  slotBytes,
  type TableEntry,
  touchHome,
  versionAt,
} from './table-shard.ts'

export const shardCount = 256
/** Shards of one table differ a little in what they get. */
const roomyLoad = 0.75
const growth = 1.25
/** As many homes as the first cache of a processor holds until the probes come to them. */
export const touchedAtOnce = 128

/**
 * SHA-256 -> verdict in memory. 256 shards by the first byte of the hash, each a quarter larger when it is four fifths
 * full: an entry takes 60 to 75 bytes, and growing never holds up a lookup for long. Hashes are given as words
 * (`wordsOf`), `at` counts words.
 */
export class VerdictTable {
  readonly #shards: Shard[]
  /** Keeps the reads of `touch` from being optimised away. */
  #touched = 0

  /** With room for so many entries: a table that is filled at once need not grow on the way. */
  constructor(expectedEntries = 0) {
    const slots = Math.max(initialSlots, Math.ceil(expectedEntries / shardCount / roomyLoad))
    this.#shards = Array.from({ length: shardCount }, () => makeShard(slots))
  }

  get size(): number {
    return this.#shards.reduce((sum, { count }) => sum + count, 0)
  }

  /** What the slots take, free ones included. */
  get residentBytes(): number {
    return this.#shards.reduce((sum, { slots }) => sum + slots * slotBytes, 0)
  }

  #shardOf(source: Int32Array, at: number): Shard {
    const shard = this.#shards[(source[at] ?? 0) & (shardCount - 1)]
    if (shard === undefined) throw new RangeError('no hash')
    return shard
  }

  /** Code and version of a hash, as `code + version * 256`; 0 when it is not there. */
  peek(source: Int32Array, at = 0): number {
    const shard = this.#shardOf(source, at)
    const slot = findSlot(shard, source, at)
    const code = codeAt(shard, slot)
    return code === 0 ? 0 : code + versionAt(shard, slot) * 256
  }

  /**
   * Brings where the hashes at `start`, `start + stride` … below `end` would stand into the processor's cache. Tables
   * of millions of entries are never there, and a loop of probes waits for each of them.
   */
  touch(source: Int32Array, start: number, end: number, stride: number): void {
    for (let at = start; at < end; at += stride)
      this.#touched ^= touchHome(this.#shardOf(source, at), source, at)
  }

  /** `peek` for all hashes of `source`, into `found`. */
  peekAll(source: Int32Array, found: Int32Array): void {
    for (let from = 0; from < found.length; from += touchedAtOnce) {
      const to = Math.min(found.length, from + touchedAtOnce)
      this.touch(source, from * hashWords, to * hashWords, hashWords)
      for (let place = from; place < to; place += 1) found[place] = this.peek(source, place * hashWords)
    }
  }

  get(source: Int32Array, at = 0): TableEntry | undefined {
    const shard = this.#shardOf(source, at)
    const slot = findSlot(shard, source, at)
    return codeAt(shard, slot) === 0 ? undefined : entryAt(shard, slot)
  }

  /** Adds or replaces an entry; `code` is not 0. */
  set(
    source: Int32Array,
    at: number,
    code: number,
    version: number,
    sizeBytes: number,
    judgedAtSeconds: number,
  ): void {
    let shard = this.#shardOf(source, at)
    if (shard.count >= shard.slots * maxLoad) {
      shard = rebuilt(shard, Math.ceil(shard.slots * growth), () => true)
      this.#shards[(source[at] ?? 0) & (shardCount - 1)] = shard
    }
    setEntry(shard, source, at, code, version, sizeBytes, judgedAtSeconds)
  }

  /** Forgets one hash; answers whether it was there. */
  delete(source: Int32Array, at = 0): boolean {
    const shard = this.#shardOf(source, at)
    const slot = findSlot(shard, source, at)
    if (codeAt(shard, slot) === 0) return false
    freeSlot(shard, slot)
    return true
  }

  /** Keeps what `keep` says, asked once for each entry, shard by shard; the caller lets others run between two. */
  *retain(keep: (code: number, version: number, judgedAtSeconds: number) => boolean): Generator<void> {
    for (const [index, shard] of this.#shards.entries()) {
      const kept = new Uint8Array(shard.slots)
      let count = 0
      for (let slot = 0; slot < shard.slots; slot += 1) {
        const code = codeAt(shard, slot)
        if (code === 0 || !keep(code, versionAt(shard, slot), secondsAt(shard, slot))) continue
        kept[slot] = 1
        count += 1
      }
      if (count < shard.count) {
        const slots = Math.max(initialSlots, Math.ceil((count / maxLoad) * growth))
        this.#shards[index] = rebuilt(shard, slots, (slot) => kept[slot] === 1)
      }
      yield
    }
  }

  /** Visits code, version and age of every entry, a shard at a time. */
  *survey(visit: (code: number, version: number, judgedAtSeconds: number) => void): Generator<void> {
    for (const shard of this.#shards) {
      for (let slot = 0; slot < shard.slots; slot += 1) {
        const code = codeAt(shard, slot)
        if (code !== 0) visit(code, versionAt(shard, slot), secondsAt(shard, slot))
      }
      yield
    }
  }

  /** One shard after the other, as it is at that moment: slots, entries, and the memory itself. */
  *memory(): Generator<{ slots: number; count: number; bytes: Buffer }> {
    for (let index = 0; index < shardCount; index += 1) {
      const shard = this.#shards[index]
      if (shard !== undefined) yield { slots: shard.slots, count: shard.count, bytes: bytesOfShard(shard) }
    }
  }

  /** A table whose shards have these slots and entries, of memory that `fill` puts there; undefined when it cannot. */
  static fromMemory(
    shards: readonly { slots: number; count: number }[],
    fill: (bytes: Buffer) => boolean,
  ): VerdictTable | undefined {
    const table = new VerdictTable()
    for (const [index, { slots, count }] of shards.entries()) {
      const shard = { ...makeShard(slots), count }
      if (!fill(bytesOfShard(shard))) return undefined
      table.#shards[index] = shard
    }
    return table
  }
}
