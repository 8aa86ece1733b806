import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readSnapshot, writeSnapshot } from './table-snapshot.ts'
import { VerdictTable } from './verdict-table.ts'

let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'snapshot-'))
  path = join(dir, 'table.snapshot')
})
afterEach(() => rmSync(dir, { recursive: true }))

const mark = { records: 2 ** 33 + 5, lastRecord: Buffer.alloc(64, 9) }
const hashes = fc.uniqueArray(fc.array(fc.integer(), { minLength: 8, maxLength: 8 }), {
  maxLength: 200,
  selector: String,
})
const read = () => readSnapshot(path, () => true)

async function writeSome(): Promise<Buffer> {
  const table = new VerdictTable()
  for (let number = 0; number < 5000; number += 1)
    table.set(
      Int32Array.from({ length: 8 }, (_, word) => Math.imul(number + 1, 0x9e3779b1 + word)),
      0,
      2,
      1,
      3,
      4,
    )
  await writeSnapshot(path, table, mark)
  return readFileSync(path)
}

describe('a snapshot of the table', () => {
  it('has every entry and its mark', async () => {
    await fc.assert(
      fc.asyncProperty(hashes, async (all) => {
        const table = new VerdictTable()
        const entryOf = (index: number) => ({
          code: 1 + (index % 5),
          version: 65_535 - index,
          sizeBytes: index * 1_000_000_007,
          judgedAtSeconds: 2 ** 32 - 1 - index,
        })
        for (const [index, hash] of all.entries()) {
          const { code, version, sizeBytes, judgedAtSeconds } = entryOf(index)
          table.set(Int32Array.from(hash), 0, code, version, sizeBytes, judgedAtSeconds)
        }
        await writeSnapshot(path, table, mark)
        const snapshot = read()
        expect(snapshot?.mark).toEqual(mark)
        expect(snapshot?.table.size).toBe(all.length)
        for (const [index, hash] of all.entries())
          expect(snapshot?.table.get(Int32Array.from(hash))).toEqual(entryOf(index))
      }),
      { numRuns: 10 },
    )
  })

  it('is not used when any bit of it changed', async () => {
    const bytes = await writeSome()
    expect(read()?.table.size).toBe(5000)
    const places = fc.oneof(fc.integer({ min: 0, max: 4095 }), fc.integer({ min: 0, max: bytes.length - 1 }))
    fc.assert(
      fc.property(places, fc.integer({ min: 1, max: 255 }), (place, change) => {
        const damaged = Buffer.from(bytes)
        damaged[place] = (damaged[place] ?? 0) ^ change
        writeFileSync(path, damaged)
        expect(read()).toBeUndefined()
      }),
      { numRuns: 50 },
    )
  })

  it('is not used when it is cut, or longer than it was', async () => {
    const bytes = await writeSome()
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        writeFileSync(path, bytes.subarray(0, length))
        expect(read()).toBeUndefined()
      }),
      { numRuns: 50 },
    )
    writeFileSync(path, Buffer.concat([bytes, bytes.subarray(0, 48)]))
    expect(read()).toBeUndefined()
  })

  it('is not used when what is left of it is zeros, as after a power cut', async () => {
    const bytes = await writeSome()
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length / 2 }), (start) => {
        const damaged = Buffer.from(bytes)
        damaged.fill(0, start)
        writeFileSync(path, damaged)
        expect(read()).toBeUndefined()
      }),
      { numRuns: 30 },
    )
  })
})
