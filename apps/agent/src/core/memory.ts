import { memoryInUse, openReleaseMemory } from '@ringwall/kernel'
import type { Logger } from '@ringwall/runtime'

const checkMs = 1_000
/** While something was to be given back, more is to come. */
const busyCheckMs = 250
/** Nor is more than this share of a processor spent on it; bringing back what is needed costs about as much again. */
const maxCpuShare = 0.01
/** But what a scan left is not kept for long because it cost much to look for. */
const maxCheckMs = 5_000
/** Giving back less than this is not worth the faults that bring back what is needed. */
const maxFileBytes = 12 * 1024 * 1024
/** Growth since the last collection of garbage that calls for another one when it lasts: a short scan is left alone. */
const maxGrowthBytes = 4 * 1024 * 1024
const growthLastsMs = 5_000
/** So long after a scan, what it left is looked for; by then its manifest was told to the guard, too. */
const afterWorkMs = 10_000

export type MemoryKeeperOptions = {
  logger: Logger
  inUse?: typeof memoryInUse
  /** Gives mapped code back; undefined without the add-on. */
  release?: (() => number) | undefined
  /** Collects all garbage and gives the pages back; undefined where Node runs without --expose-gc. */
  collect?: (() => void) | undefined
  nowMs?: () => number
  /** Whether there is work now that takes much memory for a while. */
  isBusy?: () => boolean
}

function collectorOfNode(): (() => void) | undefined {
  const { gc } = globalThis
  return gc === undefined ? undefined : () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** How long to wait with the next check, after one that gave something back and used so much of the processor. */
export function nextCheckMs(usedMs: number): number {
  return Math.min(maxCheckMs, Math.max(busyCheckMs, usedMs / maxCpuShare))
}

/**
 * Keeps the agent small on the machine that it shares with what it protects. Code that was needed once, as that of the
 * start, does not stay mapped; and what a scan left behind goes when it is over, not when this heap is full again.
 */
export function createMemoryKeeper(options: MemoryKeeperOptions): { check: () => boolean; stop: () => void } {
  const { logger, inUse = memoryInUse, nowMs = () => performance.now(), isBusy = () => false } = options
  const release = 'release' in options ? options.release : openReleaseMemory()
  const collect = 'collect' in options ? options.collect : collectorOfNode()
  if (release === undefined)
    logger.info({ addon: 'ringwall-process' }, 'unused code stays in memory: the add-on is not here')
  /** The least since the last collection; nothing was collected since the start. */
  let floorBytes = 0
  let grownSinceMs: number | undefined
  /** The same as it was when there was no work: a floor that was found during work has the work's memory in it. */
  let restFloorBytes = 0
  let wasBusy = false
  let workEndedMs: number | undefined

  /** Answers whether there was something to give back. */
  function check(): boolean {
    const { fileBytes, ownBytes } = inUse()
    floorBytes = Math.min(floorBytes, ownBytes)
    if (ownBytes - floorBytes <= maxGrowthBytes) grownSinceMs = undefined
    else grownSinceMs ??= nowMs()
    const isBusyNow = isBusy()
    if (isBusyNow) workEndedMs = undefined
    else if (wasBusy) workEndedMs = nowMs()
    wasBusy = isBusyNow
    const hasGrown = grownSinceMs !== undefined && nowMs() - grownSinceMs >= growthLastsMs
    const isLeft = workEndedMs !== undefined && nowMs() - workEndedMs >= afterWorkMs
    if (isLeft) workEndedMs = undefined
    if (collect !== undefined && (hasGrown || (isLeft && ownBytes - restFloorBytes > maxGrowthBytes))) {
      collect()
      grownSinceMs = undefined
      release?.()
      floorBytes = inUse().ownBytes
      if (!isBusyNow) restFloorBytes = floorBytes
      return true
    }
    if (fileBytes <= maxFileBytes) return false
    release?.()
    return release !== undefined
  }

  let timer: NodeJS.Timeout
  function checkIn(delayMs: number): void {
    timer = setTimeout(() => {
      const beforeMs = threadCpuMs()
      checkIn(check() ? nextCheckMs(threadCpuMs() - beforeMs) : checkMs)
    }, delayMs)
    timer.unref()
  }
  checkIn(checkMs)
  return { check, stop: () => clearTimeout(timer) }
}
