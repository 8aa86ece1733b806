import { createHeap } from './heap.ts'
import { createSlotQueue } from './queue.ts'
import type { SlotLimits, SlotPlace, SlotRequest } from './types.ts'
import { createUsage } from './usage.ts'

export type SimulatedScan = {
  requestId: string
  machineId: string
  hostId: string | null
  /** Null: it does not start in its window. */
  startMs: number | null
  /** Null: its window ends first. */
  endMs: number | null
}

export type Simulation = {
  scans: SimulatedScan[]
  startMs: number
  endMs: number
  peak: number
  peakAtMs: number
  /** How many are scanned from each moment on. */
  steps: { atMs: number; running: number }[]
}

type Running = { request: SlotRequest; place: SlotPlace; startMs: number; endMs: number; isCut: boolean }

/**
 * Plays the scheduler forward with the given durations: the same queue, limits and order as when it runs, so the
 * plan is what happens when the durations are right. What a window cuts short is not continued here.
 */
export function simulateSlots(options: {
  nowMs: number
  limits: SlotLimits
  scanners: readonly string[]
  requests: readonly SlotRequest[]
  /** What is scanned already, with the time it still takes. */
  running: readonly { machineId: string; place: SlotPlace; remainingMs: number }[]
}): Simulation {
  const { nowMs, limits, scanners } = options
  const usage = createUsage(limits, scanners)
  const byId = new Map(options.requests.map((request) => [request.id, request]))
  const ends = createHeap<{ endMs: number; machineId: string; place: SlotPlace; scan?: Running }>(
    (a, b) => a.endMs - b.endMs,
  )
  for (const { machineId, place, remainingMs } of options.running) {
    usage.count(machineId, place, 1)
    ends.push({ endMs: nowMs + Math.max(0, remainingMs), machineId, place })
  }
  const queue = createSlotQueue({
    nowMs,
    limits,
    usage,
    hasScanners: scanners.length > 0,
    requests: options.requests,
    running: new Set(options.running.map(({ machineId }) => machineId)),
  })
  const done: Running[] = []
  const steps: Simulation['steps'] = []
  let count = 0
  for (let atMs = nowMs; Number.isFinite(atMs); ) {
    for (let next = ends.peek(); next !== undefined && next.endMs <= atMs; next = ends.peek()) {
      ends.pop()
      queue.release(next.machineId, next.place)
      if (next.scan !== undefined) count -= 1
    }
    for (const grant of queue.grant(atMs)) {
      const request = byId.get(grant.requestId)
      if (request === undefined) continue
      const wantedEndMs = atMs + Math.max(1, request.durationMs)
      const isCut =
        request.window !== null && request.atWindowEnd === 'pause' && wantedEndMs > request.window.endMs
      const endMs = isCut && request.window !== null ? request.window.endMs : wantedEndMs
      const scan = { request, place: grant, startMs: atMs, endMs, isCut }
      done.push(scan)
      ends.push({ endMs, machineId: request.machineId, place: grant, scan })
      count += 1
    }
    if (steps.at(-1)?.running !== count) steps.push({ atMs, running: count })
    atMs = Math.min(
      ends.peek()?.endMs ?? Number.POSITIVE_INFINITY,
      queue.nextTimerMs() ?? Number.POSITIVE_INFINITY,
    )
  }
  return summarise(options.requests, done, steps, nowMs)
}

function summarise(
  requests: readonly SlotRequest[],
  done: Running[],
  steps: Simulation['steps'],
  nowMs: number,
): Simulation {
  const byId = new Map(done.map((scan) => [scan.request.id, scan]))
  const peak = steps.reduce((best, step) => (step.running > best.running ? step : best), {
    atMs: nowMs,
    running: 0,
  })
  let startMs = Number.POSITIVE_INFINITY
  let endMs = Number.NEGATIVE_INFINITY
  for (const scan of done) {
    startMs = Math.min(startMs, scan.startMs)
    endMs = Math.max(endMs, scan.endMs)
  }
  return {
    scans: requests.map(({ id, machineId, hostId }) => {
      const scan = byId.get(id)
      return {
        requestId: id,
        machineId,
        hostId,
        startMs: scan?.startMs ?? null,
        endMs: scan === undefined || scan.isCut ? null : scan.endMs,
      }
    }),
    startMs: done.length === 0 ? nowMs : startMs,
    endMs: done.length === 0 ? nowMs : endMs,
    peak: peak.running,
    peakAtMs: peak.atMs,
    steps,
  }
}
