/**
 * A part of the verdict table: open addressing with linear probing in one block of memory, no object for an entry.
 * A slot is 48 bytes, so that a lookup touches one or two lines of the processor's cache:
 *   0 sha256 (32) · 32 size, low u32 · 36 size, high u16 · 38 version number u16 · 40 judged at, s u32 · 44 code u32
 * A free slot has code 0. Words are little-endian, as on every processor that Node runs on: a snapshot is the memory
 * itself.
 */
import { hashWords } from './hash-words.ts'

export const initialSlots = 64
export const slotBytes = 48
export const maxLoad = 0.8
const slotWords = slotBytes / Int32Array.BYTES_PER_ELEMENT
const sizeWord = hashWords
const versionWord = hashWords + 1
const secondsWord = hashWords + 2
const codeWord = hashWords + 3
const uint16Range = 2 ** 16
const uint32Range = 2 ** 32

export type TableEntry = { code: number; version: number; sizeBytes: number; judgedAtSeconds: number }

export type Shard = { slots: number; count: number; words: Int32Array }

export function makeShard(slots: number): Shard {
  return { slots, count: 0, words: new Int32Array(slots * slotWords) }
}

/** The memory of the slots. */
export function bytesOfShard({ words }: Shard): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength)
}

/** SHA-256 is uniform: it is its own hash function. Its first byte chose the shard, its second word chooses the slot. */
function homeOf(slots: number, source: Int32Array, at: number): number {
  return Math.floor((((source[at + 1] ?? 0) >>> 0) * slots) / uint32Range)
}

/** The second word last: it is alike for neighbours. */
function isSame(words: Int32Array, offset: number, source: Int32Array, at: number): boolean {
  return (
    words[offset] === source[at] &&
    words[offset + 2] === source[at + 2] &&
    words[offset + 3] === source[at + 3] &&
    words[offset + 4] === source[at + 4] &&
    words[offset + 5] === source[at + 5] &&
    words[offset + 6] === source[at + 6] &&
    words[offset + 7] === source[at + 7] &&
    words[offset + 1] === source[at + 1]
  )
}

/** The slot that holds the hash at `source[at…at+8]`, or the free one where it belongs. */
export function findSlot({ slots, words }: Shard, source: Int32Array, at: number): number {
  for (let slot = homeOf(slots, source, at); ; ) {
    const offset = slot * slotWords
    if (words[offset + codeWord] === 0 || isSame(words, offset, source, at)) return slot
    slot += 1
    if (slot === slots) slot = 0
  }
}

/** Reads where a hash would stand: a loop of these lets the memory answer many at once, a loop of probes does not. */
export function touchHome({ slots, words }: Shard, source: Int32Array, at: number): number {
  const offset = homeOf(slots, source, at) * slotWords
  return (words[offset] ?? 0) ^ (words[offset + codeWord] ?? 0)
}

export function codeAt({ words }: Shard, slot: number): number {
  return words[slot * slotWords + codeWord] ?? 0
}

export function versionAt({ words }: Shard, slot: number): number {
  return (words[slot * slotWords + versionWord] ?? 0) >>> 16
}

export function secondsAt({ words }: Shard, slot: number): number {
  return (words[slot * slotWords + secondsWord] ?? 0) >>> 0
}

/** What a taken slot says. */
export function entryAt(shard: Shard, slot: number): TableEntry {
  const offset = slot * slotWords
  const low = (shard.words[offset + sizeWord] ?? 0) >>> 0
  const high = (shard.words[offset + versionWord] ?? 0) & 0xffff
  return {
    code: codeAt(shard, slot),
    version: versionAt(shard, slot),
    sizeBytes: low + high * uint32Range,
    judgedAtSeconds: secondsAt(shard, slot),
  }
}

/** Adds or replaces the entry of a hash. The caller sees to it that there is a free slot. */
export function setEntry(
  shard: Shard,
  source: Int32Array,
  at: number,
  code: number,
  version: number,
  sizeBytes: number,
  judgedAtSeconds: number,
): void {
  const slot = findSlot(shard, source, at)
  const { words } = shard
  const offset = slot * slotWords
  if (words[offset + codeWord] === 0) {
    for (let word = 0; word < hashWords; word += 1) words[offset + word] = source[at + word] ?? 0
    shard.count += 1
  }
  words[offset + sizeWord] = sizeBytes % uint32Range
  words[offset + versionWord] = Math.floor(sizeBytes / uint32Range) + version * uint16Range
  words[offset + secondsWord] = judgedAtSeconds
  words[offset + codeWord] = code
}

/** Frees a slot. Later entries of the probe run move up to close the gap. */
export function freeSlot(shard: Shard, freed: number): void {
  const { slots, words } = shard
  let gap = freed
  for (let slot = (gap + 1) % slots; codeAt(shard, slot) !== 0; slot = (slot + 1) % slots) {
    const home = homeOf(slots, words, slot * slotWords)
    const isHomeBetween = gap < slot ? gap < home && home <= slot : gap < home || home <= slot
    if (isHomeBetween) continue
    words.copyWithin(gap * slotWords, slot * slotWords, (slot + 1) * slotWords)
    gap = slot
  }
  words[gap * slotWords + codeWord] = 0
  shard.count -= 1
}

/** A shard of another size with the entries of the slots that `keep`. */
export function rebuilt(shard: Shard, slots: number, keep: (slot: number) => boolean): Shard {
  const next = makeShard(slots)
  for (let slot = 0; slot < shard.slots; slot += 1) {
    if (codeAt(shard, slot) === 0 || !keep(slot)) continue
    const from = slot * slotWords
    const to = findSlot(next, shard.words, from) * slotWords
    for (let word = 0; word < slotWords; word += 1) next.words[to + word] = shard.words[from + word] ?? 0
    next.count += 1
  }
  return next
}
