import { expect, it } from 'vitest'
import { createGarbageKeeper } from './garbage.ts'

const mib = (count: number) => count * 1024 * 1024

/** A heap whose young and old garbage the test sets. */
function fakeHeap() {
  const heap = { live: mib(20), young: 0, old: 0, collected: [] as string[] }
  const keepClean = createGarbageKeeper({
    inUse: () => heap.live + heap.young + heap.old,
    collect: (type) => {
      heap.collected.push(type)
      heap.young = 0
      if (type === 'major') heap.old = 0
    },
  })
  return { heap, keepClean }
}

it('leaves a little garbage alone, and collects what is young when there is more', () => {
  const { heap, keepClean } = fakeHeap()
  heap.young = mib(1)
  keepClean()
  expect(heap.collected).toEqual([])
  heap.young = mib(3)
  keepClean()
  expect(heap).toMatchObject({ young: 0, collected: ['minor'] })
})

it('collects everything only when much has grown old', () => {
  const { heap, keepClean } = fakeHeap()
  for (let round = 0; round < 5; round += 1) {
    heap.young = mib(2) + 1
    heap.old += mib(1)
    keepClean()
  }
  expect(heap.collected).toEqual(['minor', 'minor', 'minor', 'minor', 'minor', 'major'])
  expect(heap.old).toBe(0)
})

it('does not collect again for what is in use', () => {
  const { heap, keepClean } = fakeHeap()
  heap.live = mib(30)
  for (let round = 0; round < 5; round += 1) keepClean()
  expect(heap.collected).toEqual(['minor', 'major'])
  heap.live = mib(15)
  keepClean()
  heap.young = mib(3)
  keepClean()
  expect(heap.collected).toEqual(['minor', 'major', 'minor'])
})

it('leaves a small heap alone, however much of it is garbage', () => {
  const { heap, keepClean } = fakeHeap()
  heap.live = mib(4)
  heap.young = mib(9)
  heap.old = mib(2)
  keepClean()
  expect(heap.collected).toEqual([])
  heap.old = mib(6)
  keepClean()
  expect(heap.collected).toEqual(['minor'])
})
