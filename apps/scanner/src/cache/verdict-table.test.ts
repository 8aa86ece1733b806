import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wordsOf } from './hash-words.ts'
import type { TableEntry } from './table-shard.ts'
import { VerdictTable } from './verdict-table.ts'

const bytesOf = (number: number) => createHash('sha256').update(String(number)).digest()
const hashOf = (number: number) => wordsOf(bytesOf(number))
/** Few shards and few homes, so that probe runs are long and wrap. */
const crowdedHashOf = (number: number) => {
  const hash = bytesOf(number)
  hash[0] = 7
  hash.fill(number % 3 === 0 ? 0xff : number % 64, 4, 8)
  return wordsOf(hash)
}
const entryOf = (number: number): TableEntry => ({
  code: 1 + (number % 5),
  version: number % 60_000,
  sizeBytes: number * 1_000_003,
  judgedAtSeconds: number,
})
const put = (table: VerdictTable, hash: Int32Array, entry: TableEntry) =>
  table.set(hash, 0, entry.code, entry.version, entry.sizeBytes, entry.judgedAtSeconds)

describe('verdict table', () => {
  it('does what a map does, through growth, replacement and removal', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.boolean()), { maxLength: 1500 })
    fc.assert(
      fc.property(steps, (all) => {
        const table = new VerdictTable()
        const model = new Map<number, TableEntry>()
        for (const [step, [number, isRemoval]] of all.entries()) {
          if (isRemoval) expect(table.delete(crowdedHashOf(number))).toBe(model.delete(number))
          else {
            put(table, crowdedHashOf(number), entryOf(number + step))
            model.set(number, entryOf(number + step))
          }
        }
        expect(table.size).toBe(model.size)
        for (let number = 0; number <= 300; number += 1) {
          const entry = model.get(number)
          expect(table.get(crowdedHashOf(number))).toEqual(entry)
          const peeked = entry === undefined ? 0 : entry.code + entry.version * 256
          expect(table.peek(crowdedHashOf(number))).toBe(peeked)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('keeps what it is told to keep and takes at most 100 bytes an entry', () => {
    const table = new VerdictTable()
    for (let number = 0; number < 60_000; number += 1) put(table, hashOf(number), entryOf(number))
    expect(table.residentBytes / table.size).toBeLessThan(100)
    for (const _ of table.retain((_code, _version, seconds) => seconds % 2 === 0));
    expect(table.size).toBe(30_000)
    expect(table.get(hashOf(8))).toEqual(entryOf(8))
    expect(table.get(hashOf(9))).toBeUndefined()
    expect(table.residentBytes / table.size).toBeLessThan(100)
    let sum = 0
    for (const _ of table.survey((_code, _version, seconds) => (sum += seconds)));
    expect(sum).toBe(29_999 * 30_000)
  })
})
