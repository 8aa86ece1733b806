/**
 * SHA-256 -> verdict in memory: open addressing with linear probing in typed arrays, 45 bytes a slot, no object for
 * an entry. 256 shards by the first byte of the hash, each a quarter larger when it is four fifths full: an entry
 * takes 56 to 70 bytes, and growing never holds up a lookup for long. SHA-256 is uniform: it is its own hash function.
 */
const keyBytes = 32
const initialSlots = 64
const shardCount = 256
const maxLoad = 0.8
/** Shards of one table differ a little in what they get. */
const roomyLoad = 0.75
const growth = 1.25
const slotBytes = keyBytes + 13
const uint32Range = 2 ** 32

export type TableEntry = { code: number; version: number; sizeBytes: number; judgedAtSeconds: number }

type Shard = {
  slots: number
  count: number
  keys: Buffer
  codes: Uint8Array
  versions: Uint16Array
  sizesLow: Uint32Array
  sizesHigh: Uint16Array
  seconds: Uint32Array
}

function makeShard(slots: number): Shard {
  return {
    slots,
    count: 0,
    keys: Buffer.allocUnsafeSlow(slots * keyBytes),
    codes: new Uint8Array(slots),
    versions: new Uint16Array(slots),
    sizesLow: new Uint32Array(slots),
    sizesHigh: new Uint16Array(slots),
    seconds: new Uint32Array(slots),
  }
}

// Bytes are read one by one here: views and reader methods of Buffer cost more than the whole rest of a lookup.
function homeOf(slots: number, source: Uint8Array, at: number): number {
  const high = ((source[at + 1] ?? 0) << 24) | ((source[at + 2] ?? 0) << 16)
  const low = ((source[at + 3] ?? 0) << 8) | (source[at + 4] ?? 0)
  return Math.floor((((high | low) >>> 0) * slots) / uint32Range)
}

/** From the end: the first bytes are alike for neighbours. */
function isSame(keys: Uint8Array, offset: number, source: Uint8Array, at: number): boolean {
  for (let byte = keyBytes - 1; byte >= 0; byte -= 1)
    if (keys[offset + byte] !== source[at + byte]) return false
  return true
}

/** The slot that holds the key, or the free one where it belongs. A free slot has code 0. */
function findSlot(shard: Shard, source: Buffer, at: number): number {
  for (let slot = homeOf(shard.slots, source, at); ; ) {
    if (shard.codes[slot] === 0 || isSame(shard.keys, slot * keyBytes, source, at)) return slot
    slot += 1
    if (slot === shard.slots) slot = 0
  }
}

function copySlot(from: Shard, source: number, to: Shard, target: number): void {
  from.keys.copy(to.keys, target * keyBytes, source * keyBytes, (source + 1) * keyBytes)
  to.codes[target] = from.codes[source] ?? 0
  to.versions[target] = from.versions[source] ?? 0
  to.sizesLow[target] = from.sizesLow[source] ?? 0
  to.sizesHigh[target] = from.sizesHigh[source] ?? 0
  to.seconds[target] = from.seconds[source] ?? 0
}

function rebuilt(shard: Shard, slots: number, keep: (slot: number) => boolean): Shard {
  const next = makeShard(slots)
  for (let slot = 0; slot < shard.slots; slot += 1) {
    if (shard.codes[slot] === 0 || !keep(slot)) continue
    copySlot(shard, slot, next, findSlot(next, shard.keys, slot * keyBytes))
    next.count += 1
  }
  return next
}

export class VerdictTable {
  readonly #shards: Shard[]

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

  #shardOf(source: Buffer, at: number): Shard {
    const shard = this.#shards[source[at] ?? 0]
    if (shard === undefined) throw new RangeError('no hash')
    return shard
  }

  /** Code and version of the hash that stands in `source` at `at`, as `code + version * 256`; 0 when it is not there. */
  peek(source: Buffer, at = 0): number {
    const shard = this.#shardOf(source, at)
    const slot = findSlot(shard, source, at)
    const code = shard.codes[slot] ?? 0
    return code === 0 ? 0 : code + (shard.versions[slot] ?? 0) * 256
  }

  get(source: Buffer, at = 0): TableEntry | undefined {
    const shard = this.#shardOf(source, at)
    const slot = findSlot(shard, source, at)
    const code = shard.codes[slot] ?? 0
    if (code === 0) return undefined
    return {
      code,
      version: shard.versions[slot] ?? 0,
      sizeBytes: (shard.sizesLow[slot] ?? 0) + (shard.sizesHigh[slot] ?? 0) * uint32Range,
      judgedAtSeconds: shard.seconds[slot] ?? 0,
    }
  }

  /** Adds or replaces an entry; `code` is not 0. */
  set(source: Buffer, at: number, { code, version, sizeBytes, judgedAtSeconds }: TableEntry): void {
    let shard = this.#shardOf(source, at)
    if (shard.count >= shard.slots * maxLoad) {
      shard = rebuilt(shard, Math.ceil(shard.slots * growth), () => true)
      this.#shards[source[at] ?? 0] = shard
    }
    const slot = findSlot(shard, source, at)
    if (shard.codes[slot] === 0) {
      source.copy(shard.keys, slot * keyBytes, at, at + keyBytes)
      shard.count += 1
    }
    shard.codes[slot] = code
    shard.versions[slot] = version
    shard.sizesLow[slot] = sizeBytes % uint32Range
    shard.sizesHigh[slot] = Math.floor(sizeBytes / uint32Range)
    shard.seconds[slot] = judgedAtSeconds
  }

  /** Forgets one hash; answers whether it was there. Later entries of the probe run move up to close the gap. */
  delete(source: Buffer, at = 0): boolean {
    const shard = this.#shardOf(source, at)
    let gap = findSlot(shard, source, at)
    if (shard.codes[gap] === 0) return false
    for (let slot = (gap + 1) % shard.slots; shard.codes[slot] !== 0; slot = (slot + 1) % shard.slots) {
      const home = homeOf(shard.slots, shard.keys, slot * keyBytes)
      const isHomeBetween = gap < slot ? gap < home && home <= slot : gap < home || home <= slot
      if (isHomeBetween) continue
      copySlot(shard, slot, shard, gap)
      gap = slot
    }
    shard.codes[gap] = 0
    shard.count -= 1
    return true
  }

  /** Keeps what `keep` says, asked once for each entry, shard by shard; the caller lets others run between two. */
  *retain(keep: (code: number, version: number, judgedAtSeconds: number) => boolean): Generator<void> {
    for (const [index, shard] of this.#shards.entries()) {
      const kept = new Uint8Array(shard.slots)
      let count = 0
      for (let slot = 0; slot < shard.slots; slot += 1) {
        const code = shard.codes[slot] ?? 0
        if (code === 0 || !keep(code, shard.versions[slot] ?? 0, shard.seconds[slot] ?? 0)) continue
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
    for (const { slots, codes, versions, seconds } of this.#shards) {
      for (let slot = 0; slot < slots; slot += 1)
        if (codes[slot] !== 0) visit(codes[slot] ?? 0, versions[slot] ?? 0, seconds[slot] ?? 0)
      yield
    }
  }
}
