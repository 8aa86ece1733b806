/**
 * SHA-256 -> (verdict, version, record number) in memory: open addressing with linear probing in typed arrays,
 * 39 bytes a slot, no object for an entry. 256 shards by the first byte of the hash, so that growing one of them
 * never holds up a lookup for long. The hash is its own hash function: SHA-256 is uniform.
 */
const keyBytes = 32
const initialSlots = 256
const maxLoad = 0.7

export type TableEntry = { code: number; version: number; record: number }

type Shard = {
  slots: number
  count: number
  keys: Buffer
  codes: Uint8Array
  versions: Uint16Array
  records: Uint32Array
}

function makeShard(slots: number): Shard {
  return {
    slots,
    count: 0,
    keys: Buffer.alloc(slots * keyBytes),
    codes: new Uint8Array(slots),
    versions: new Uint16Array(slots),
    records: new Uint32Array(slots),
  }
}

/** The slot that holds the key, or the free one where it belongs. A free slot has code 0. */
function findSlot(shard: Shard, source: Buffer, at: number): number {
  const mask = shard.slots - 1
  for (let slot = source.readUInt32LE(at + 1) & mask; ; slot = (slot + 1) & mask) {
    if (shard.codes[slot] === 0) return slot
    if (shard.keys.compare(source, at, at + keyBytes, slot * keyBytes, (slot + 1) * keyBytes) === 0)
      return slot
  }
}

function grow(shard: Shard): Shard {
  const larger = makeShard(shard.slots * 2)
  for (let slot = 0; slot < shard.slots; slot += 1) {
    const code = shard.codes[slot] ?? 0
    if (code === 0) continue
    const target = findSlot(larger, shard.keys, slot * keyBytes)
    shard.keys.copy(larger.keys, target * keyBytes, slot * keyBytes, (slot + 1) * keyBytes)
    larger.codes[target] = code
    larger.versions[target] = shard.versions[slot] ?? 0
    larger.records[target] = shard.records[slot] ?? 0
  }
  larger.count = shard.count
  return larger
}

export class VerdictTable {
  readonly #shards: Shard[] = Array.from({ length: 256 }, () => makeShard(initialSlots))

  get size(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.count, 0)
  }

  /** The entry of the hash that stands in `source` at `at`. */
  get(source: Buffer, at = 0): TableEntry | undefined {
    const shard = this.#shards[source[at] ?? 0]
    if (shard === undefined) return undefined
    const slot = findSlot(shard, source, at)
    const code = shard.codes[slot] ?? 0
    return code === 0
      ? undefined
      : { code, version: shard.versions[slot] ?? 0, record: shard.records[slot] ?? 0 }
  }

  /** Adds or replaces an entry; `code` is not 0. */
  set(source: Buffer, at: number, entry: TableEntry): void {
    const index = source[at] ?? 0
    let shard = this.#shards[index]
    if (shard === undefined) return
    if (shard.count >= shard.slots * maxLoad) {
      shard = grow(shard)
      this.#shards[index] = shard
    }
    const slot = findSlot(shard, source, at)
    if (shard.codes[slot] === 0) {
      source.copy(shard.keys, slot * keyBytes, at, at + keyBytes)
      shard.count += 1
    }
    shard.codes[slot] = entry.code
    shard.versions[slot] = entry.version
    shard.records[slot] = entry.record
  }
}
