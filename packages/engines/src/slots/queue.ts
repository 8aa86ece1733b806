import type { SlotWaitReason } from '@ringwall/contracts'
import { createHeap, type Heap } from './heap.ts'
import type { SlotGrant, SlotLimits, SlotPlace, SlotRequest, SlotWait } from './types.ts'
import type { Resource, Usage } from './usage.ts'

type Entry = {
  request: SlotRequest
  rank: number
  isAged: boolean
  reserved: Resource[]
  wait: Wait | undefined
}
type Wait = { reason: SlotWaitReason; blockedBy: string | null }

const lineageDepth = 32

/**
 * The order in which machines start: priority, raised by one for each `agingMs` of waiting; what has begun before
 * what has not; templates; then the oldest last scan, those never scanned first.
 */
export function compareRequests(limits: Pick<SlotLimits, 'agingMs'>, nowMs: number) {
  const urgency = (request: SlotRequest) =>
    request.priority + Math.max(0, Math.floor((nowMs - request.enqueuedAtMs) / limits.agingMs))
  return (a: SlotRequest, b: SlotRequest): number =>
    urgency(b) - urgency(a) ||
    Number(b.hasBegun) - Number(a.hasBegun) ||
    Number(b.isTemplate) - Number(a.isTemplate) ||
    (a.lastScanAtMs ?? Number.NEGATIVE_INFINITY) - (b.lastScanAtMs ?? Number.NEGATIVE_INFINITY) ||
    a.enqueuedAtMs - b.enqueuedAtMs ||
    (a.id < b.id ? -1 : 1)
}

/** Whether a request may run at this moment, as far as people and clocks decide. */
function gateOf(request: SlotRequest, nowMs: number): { wait: Wait; untilMs?: number } | undefined {
  const wait = (reason: SlotWaitReason, untilMs?: number) => ({
    wait: { reason, blockedBy: null },
    ...(untilMs === undefined ? {} : { untilMs }),
  })
  const { window, notBeforeMs } = request
  if (request.isPaused) return wait('paused')
  if (!request.isOnline) return wait('offline')
  if (window !== null) {
    if (nowMs < window.startMs) return wait('window_closed', window.startMs)
    if (nowMs >= window.endMs) return wait('window_closed')
  }
  if (notBeforeMs !== null && nowMs < notBeforeMs) return wait('not_yet', notBeforeMs)
  const isTooLong = window !== null && nowMs + request.durationMs > window.endMs
  return isTooLong && request.whenTooLong === 'wait' ? wait('window_too_short') : undefined
}

const busyReasons = {
  machine: 'machine_busy',
  host: 'host_busy',
  datastore: 'datastore_busy',
  scanner: 'scanner_busy',
  total: 'total_busy',
} as const

/**
 * The queue of machines that want a slot. Each one that cannot start is parked where it is blocked (a full
 * resource, its template, the clock) and looked at again when that opens: ten thousand waiting machines cost
 * nothing while nothing changes. Grants are those of a greedy walk over all of them in order.
 */
export function createSlotQueue(options: {
  nowMs: number
  limits: SlotLimits
  usage: Usage
  hasScanners: boolean
  requests: readonly SlotRequest[]
  /** Machines that are being scanned. */
  running: ReadonlySet<string>
}) {
  const { limits, usage, hasScanners } = options
  const byRank = (a: Entry, b: Entry) => a.rank - b.rank
  const entries = [...options.requests]
    .sort(compareRequests(limits, options.nowMs))
    .map((request, rank): Entry => ({ request, rank, isAged: false, reserved: [], wait: undefined }))
  const fresh = createHeap(byRank)
  const timers = createHeap<{ atMs: number; entry: Entry }>((a, b) => a.atMs - b.atMs)
  const parked = new Map<Resource, Heap<Entry>>()
  const ready = new Set<Resource>()
  const behindTemplate = new Map<string, Entry[]>()
  const running = new Set(options.running)
  const waitingOf = new Map<string, Entry[]>()
  const parentOf = new Map<string, string>()
  for (const entry of entries) {
    const { machineId, parentMachineId } = entry.request
    waitingOf.set(machineId, [...(waitingOf.get(machineId) ?? []), entry])
    if (parentMachineId !== null) parentOf.set(machineId, parentMachineId)
    fresh.push(entry)
  }

  /** The nearest template that is scanned or can be scanned now. Parents that are each other's parents block nobody. */
  function templateBefore({ machineId, parentMachineId }: SlotRequest, nowMs: number): string | undefined {
    let parent = parentMachineId ?? undefined
    for (let depth = 0; parent !== undefined && parent !== machineId && depth < lineageDepth; depth += 1) {
      const isNext =
        running.has(parent) ||
        (waitingOf.get(parent) ?? []).some(({ request }) => gateOf(request, nowMs) === undefined)
      if (isNext && !isAncestor(machineId, parent)) return parent
      parent = parentOf.get(parent)
    }
    return undefined
  }
  function isAncestor(ancestor: string, of: string): boolean {
    let parent = parentOf.get(of)
    for (let depth = 0; parent !== undefined && depth < lineageDepth; depth += 1) {
      if (parent === ancestor) return true
      parent = parentOf.get(parent)
    }
    return false
  }

  function park(entry: Entry, on: Resource): void {
    let heap = parked.get(on)
    if (heap === undefined) {
      heap = createHeap(byRank)
      parked.set(on, heap)
    }
    heap.push(entry)
  }
  function unreserve(entry: Entry): void {
    for (const resource of entry.reserved) {
      resource.reserved -= 1
      ready.add(resource)
    }
    entry.reserved = []
  }

  /** Looks at one: grants it, or parks it where it is blocked. */
  function examine(entry: Entry, nowMs: number): SlotGrant | undefined {
    const { request } = entry
    unreserve(entry)
    const gate = gateOf(request, nowMs)
    if (gate !== undefined) {
      entry.wait = gate.wait
      if (gate.untilMs !== undefined) timers.push({ atMs: gate.untilMs, entry })
      return undefined
    }
    if (!hasScanners) {
      entry.wait = { reason: 'no_scanner', blockedBy: null }
      return undefined
    }
    const template = request.ignoresLimits ? undefined : templateBefore(request, nowMs)
    if (template !== undefined) {
      entry.wait = { reason: 'template_first', blockedBy: template }
      behindTemplate.set(template, [...(behindTemplate.get(template) ?? []), entry])
      return undefined
    }
    const needs = [usage.resource('machine', request.machineId), ...usage.needsOf(request)]
    const blocking = needs.find((need) => usage.freeOf(need) <= 0 && !isIgnored(request, need))
    if (blocking === undefined) return take(entry, needs.some(usage.isFull))
    const reason = usage.isFull(blocking) ? busyReasons[blocking.kind] : 'reserved'
    entry.wait = { reason, blockedBy: blocking.name === '' ? null : blocking.name }
    park(entry, blocking)
    // Of what one that waits too long needs, the rest is kept for it.
    if (nowMs - request.enqueuedAtMs > limits.agingMs) {
      entry.reserved = needs.filter((need) => need !== blocking)
      for (const resource of entry.reserved) resource.reserved += 1
    }
    return undefined
  }
  const isIgnored = (request: SlotRequest, need: Resource) => request.ignoresLimits && need.kind !== 'machine'

  function take(entry: Entry, isOverLimit: boolean): SlotGrant {
    const { id, machineId, hostId, datastores } = entry.request
    const place: SlotPlace = { hostId, datastores, scannerId: usage.freeScanner() ?? usage.anyScanner() }
    usage.count(machineId, place, 1)
    running.add(machineId)
    entry.wait = undefined
    waitingOf.set(
      machineId,
      (waitingOf.get(machineId) ?? []).filter((other) => other !== entry),
    )
    return { requestId: id, ...place, isOverLimit }
  }

  function nextCandidate(): Entry | undefined {
    let best = fresh as Heap<Entry> | undefined
    for (const resource of ready) {
      const heap = parked.get(resource)
      if (heap === undefined || heap.size() === 0 || usage.freeOf(resource) <= 0) ready.delete(resource)
      else if (best?.peek() === undefined || (heap.peek()?.rank ?? 0) < (best.peek()?.rank ?? 0)) best = heap
    }
    return best?.pop()
  }

  return {
    /** Hands out what is free. */
    grant: (nowMs: number): SlotGrant[] => {
      for (let due = timers.peek(); due !== undefined && due.atMs <= nowMs; due = timers.peek()) {
        timers.pop()
        fresh.push(due.entry)
      }
      const grants: SlotGrant[] = []
      for (let entry = nextCandidate(); entry !== undefined; entry = nextCandidate()) {
        const grant = examine(entry, nowMs)
        if (grant !== undefined) grants.push(grant)
      }
      return grants
    },
    /** A machine that was scanned has ended: its place is free, its clones may go on. */
    release: (machineId: string, place: SlotPlace): void => {
      usage.count(machineId, place, -1)
      running.delete(machineId)
      for (const entry of behindTemplate.get(machineId) ?? []) fresh.push(entry)
      behindTemplate.delete(machineId)
      for (const need of [usage.resource('machine', machineId), ...usage.needsOf(place)])
        if (parked.has(need)) ready.add(need)
    },
    nextTimerMs: (): number | undefined => timers.peek()?.atMs,
    waiting: (): Map<string, SlotWait> => {
      const waiting = entries.flatMap(({ request, wait }) => (wait === undefined ? [] : [{ request, wait }]))
      return new Map(
        waiting.map(({ request, wait }, index) => [request.id, { ...wait, position: index + 1 }]),
      )
    },
  }
}
