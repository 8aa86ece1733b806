import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type TableEntry, VerdictTable } from './verdict-table.ts'

const hashOf = (number: number) => createHash('sha256').update(String(number)).digest()
/** Few shards and few homes, so that probe runs are long and wrap. */
const crowdedHashOf = (number: number) => {
  const hash = hashOf(number)
  hash[0] = 7
  hash.fill(number % 3 === 0 ? 0xff : number % 64, 1, 5)
  return hash
}
const entryOf = (number: number): TableEntry => ({
  code: 1 + (number % 5),
  version: number % 60_000,
  sizeBytes: number * 1_000_003,
  judgedAtSeconds: number,
})

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
            table.set(crowdedHashOf(number), 0, entryOf(number + step))
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
    for (let number = 0; number < 60_000; number += 1) table.set(hashOf(number), 0, entryOf(number))
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
