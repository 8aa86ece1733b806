import { silentLogger } from '@ringwall/runtime'
import { afterEach, expect, it } from 'vitest'
import { createMemoryKeeper, nextCheckMs } from './memory.ts'

const mib = (count: number) => count * 1024 * 1024

/** A process whose memory and clock the test sets. */
function fakeProcess() {
  const now = { fileBytes: 0, ownBytes: 0, ms: 0, released: 0, collected: 0, left: 20, isBusy: false }
  const keeper = createMemoryKeeper({
    logger: silentLogger,
    inUse: () => ({ fileBytes: now.fileBytes, ownBytes: now.ownBytes }),
    release: () => {
      now.released += 1
      now.fileBytes = 0
      return 0
    },
    collect: () => {
      now.collected += 1
      now.ownBytes = mib(now.left)
    },
    nowMs: () => now.ms,
    isBusy: () => now.isBusy,
  })
  stop = keeper.stop
  const after = (seconds: number) => {
    for (let second = 0; second < seconds; second += 1) {
      now.ms += 1_000
      keeper.check()
    }
  }
  return { now, check: keeper.check, after }
}
let stop: (() => void) | undefined
afterEach(() => stop?.())

it('gives code back when much of it is mapped, and leaves little alone', () => {
  const { now, check } = fakeProcess()
  now.fileBytes = mib(6)
  expect(check()).toBe(false)
  expect(now.released).toBe(0)
  now.fileBytes = mib(40)
  expect(check()).toBe(true)
  expect(now).toMatchObject({ released: 1, fileBytes: 0, collected: 0 })
})

it('collects garbage when much came and stayed, and not because of a short scan', () => {
  const { now, check, after } = fakeProcess()
  now.ownBytes = mib(30)
  check()
  after(4)
  expect(now.collected).toBe(0)
  after(1)
  expect(now).toMatchObject({ collected: 1, ownBytes: mib(20) })
  now.ownBytes = mib(60)
  after(4)
  now.ownBytes = mib(23)
  after(10)
  expect(now.collected).toBe(1)
  now.ownBytes = mib(60)
  after(6)
  expect(now.collected).toBe(2)
})

it('measures growth from the least there was: the memory of a thread that ended does not count', () => {
  const { now, after } = fakeProcess()
  now.ownBytes = mib(70)
  after(6)
  now.ownBytes = mib(12)
  after(1)
  now.ownBytes = mib(17)
  after(6)
  expect(now.collected).toBe(2)
})

it('looks for what work left once it is over, and leaves it alone when that is little', () => {
  const { now, after } = fakeProcess()
  now.ownBytes = mib(30)
  after(6)
  expect(now).toMatchObject({ collected: 1, ownBytes: mib(20) })
  Object.assign(now, { isBusy: true, ownBytes: mib(45), left: 42 })
  after(20)
  const { collected } = now
  expect(collected).toBeGreaterThan(1)
  Object.assign(now, { isBusy: false, left: 21 })
  after(10)
  expect(now).toMatchObject({ collected, ownBytes: mib(42) })
  after(1)
  expect(now).toMatchObject({ collected: collected + 1, ownBytes: mib(21) })
  now.isBusy = true
  after(1)
  Object.assign(now, { isBusy: false, ownBytes: mib(24) })
  after(20)
  expect(now.collected).toBe(collected + 1)
})

it('waits the longer the more a check cost, so that it never takes much of a processor', () => {
  expect(nextCheckMs(0)).toBe(250)
  expect(nextCheckMs(8)).toBe(800)
  expect(nextCheckMs(400)).toBe(5_000)
})

it('does nothing where there is nothing to do it with', () => {
  const keeper = createMemoryKeeper({
    logger: silentLogger,
    inUse: () => ({ fileBytes: mib(100), ownBytes: mib(100) }),
    release: undefined,
    collect: undefined,
  })
  stop = keeper.stop
  expect(keeper.check).not.toThrow()
})
