import { getHeapStatistics } from 'node:v8'

/** A heap is counted as this large at least: a short scan is over before anything need be collected. */
const calmBytes = 14 * 1024 * 1024
/** Growth since the last collection that calls for the next one: of what is young, and of everything. */
const maxYoungBytes = 2 * 1024 * 1024
const maxGrowthBytes = 4 * 1024 * 1024

export type GarbageOptions = {
  /** What the heap of this thread uses, buffers outside of it too. */
  inUse?: () => number
  /** Collects what is young, or everything; undefined where Node runs without --expose-gc. */
  collect?: ((type: 'minor' | 'major') => void) | undefined
}

function heapInUse(): number {
  const { used_heap_size, external_memory } = getHeapStatistics()
  return used_heap_size + external_memory
}

function collectorOfNode(): GarbageOptions['collect'] {
  const { gc } = globalThis
  return gc === undefined ? undefined : (type) => gc({ type, execution: 'sync' })
}

/**
 * Keeps the heap of the calling thread close to what it needs; to be called often. By itself it would grow towards
 * its limit before anything is collected, the more so as V8 does not see how large the buffers are that small
 * objects stand for. Everything is collected only when what is young was not enough: that costs many times as much.
 */
export function createGarbageKeeper(options: GarbageOptions = {}): () => void {
  const { inUse: heapBytes = heapInUse } = options
  const collect = 'collect' in options ? options.collect : collectorOfNode()
  if (collect === undefined) return () => undefined
  const inUse = () => Math.max(heapBytes(), calmBytes)
  let floorBytes = inUse()
  let youngFloorBytes = floorBytes
  return () => {
    const bytes = inUse()
    if (bytes - youngFloorBytes > maxYoungBytes) {
      collect('minor')
      youngFloorBytes = inUse()
      if (youngFloorBytes - floorBytes > maxGrowthBytes) {
        collect('major')
        youngFloorBytes = floorBytes = inUse()
      }
    }
    youngFloorBytes = Math.min(youngFloorBytes, bytes)
    floorBytes = Math.min(floorBytes, youngFloorBytes)
  }
}
