import { compareRequests, createSlotQueue } from './queue.ts'
import type { SlotDecision, SlotLease, SlotPlace, SlotRequest, SlotState, SlotWindow } from './types.ts'
import { createUsage, type Usage } from './usage.ts'

const isOpen = (window: SlotWindow | null, nowMs: number) =>
  window === null || (nowMs >= window.startMs && nowMs < window.endMs)

const isSamePlace = (lease: SlotLease, request: SlotRequest) =>
  lease.hostId === request.hostId &&
  lease.datastores.length === request.datastores.length &&
  lease.datastores.every((name) => request.datastores.includes(name))

/** Why a lease must be given back; undefined while it may stay. */
function releaseReason(request: SlotRequest, nowMs: number): 'paused' | 'window_end' | undefined {
  if (request.isPaused) return 'paused'
  if (request.atWindowEnd === 'pause' && !isOpen(request.window, nowMs)) return 'window_end'
  return undefined
}

/**
 * Takes the state of all slots and says what to do: no clock, no storage, the same answer each time. Leases come
 * first (ended, lapsed, taken back, moved with their machine); what is then free goes to those that wait.
 */
export function decideSlots(state: SlotState): SlotDecision {
  const { nowMs, limits, scanners, requests } = state
  const byId = new Map(requests.map((request) => [request.id, request]))
  const usage = createUsage(limits, scanners)
  const decision: SlotDecision = {
    grants: [],
    ends: [],
    releases: [],
    moves: [],
    waiting: new Map(),
    nextAtMs: null,
  }
  const kept: { lease: SlotLease; request: SlotRequest }[] = []
  for (const lease of state.leases) {
    const request = byId.get(lease.requestId)
    if (request === undefined) decision.ends.push({ leaseId: lease.id, why: 'ended' })
    else if (lease.expiresAtMs <= nowMs) decision.ends.push({ leaseId: lease.id, why: 'expired' })
    else kept.push({ lease, request })
  }
  const order = compareRequests(limits, nowMs)
  kept.sort((a, b) => a.lease.grantedAtMs - b.lease.grantedAtMs || order(a.request, b.request))
  // Those that stay where they are count before those that come.
  for (const { lease, request } of kept)
    if (isSamePlace(lease, request) && isServed(lease, usage)) usage.count(request.machineId, lease, 1)
  const overLimit = new Set(
    kept.flatMap(({ lease, request }) =>
      lease.isOverLimit && lease.hostId !== null && isSamePlace(lease, request) ? [lease.hostId] : [],
    ),
  )
  for (const { lease, request } of kept) {
    const why = lease.state === 'held' && !request.isEnding ? releaseReason(request, nowMs) : undefined
    if (why !== undefined) decision.releases.push({ leaseId: lease.id, why })
    if (isSamePlace(lease, request) && isServed(lease, usage)) continue
    const { hostId, datastores } = request
    const scannerId = isServed(lease, usage) ? lease.scannerId : (usage.freeScanner() ?? lease.scannerId)
    const place: SlotPlace = { hostId, datastores, scannerId }
    const hasMoved = hostId !== lease.hostId
    const isFull = hasMoved && hostId !== null && usage.isFull(usage.resource('host', hostId))
    const mayFinish = limits.onMigration === 'finish' && hostId !== null && !overLimit.has(hostId)
    if (isFull && hostId !== null && mayFinish) overLimit.add(hostId)
    if (isFull && !mayFinish && why === undefined && lease.state === 'held' && !request.isEnding)
      decision.releases.push({ leaseId: lease.id, why: 'host_full' })
    const isOverLimit = hasMoved ? isFull : lease.isOverLimit
    const isChange = hasMoved || !isSamePlace(lease, request) || scannerId !== lease.scannerId
    if (isChange) decision.moves.push({ leaseId: lease.id, ...place, isOverLimit })
    usage.count(request.machineId, place, 1)
  }

  const held = new Set(kept.map(({ request }) => request.id))
  const queue = createSlotQueue({
    nowMs,
    limits,
    usage,
    hasScanners: scanners.length > 0,
    requests: requests.filter(({ id, isEnding }) => !held.has(id) && !isEnding),
    running: new Set(kept.map(({ request }) => request.machineId)),
  })
  decision.grants = queue.grant(nowMs)
  decision.waiting = queue.waiting()
  const times = kept.flatMap(({ lease, request }) => [
    lease.expiresAtMs,
    ...(request.window !== null && request.atWindowEnd === 'pause' && request.window.endMs > nowMs
      ? [request.window.endMs]
      : []),
  ])
  const next = Math.min(...times, queue.nextTimerMs() ?? Number.POSITIVE_INFINITY)
  decision.nextAtMs = Number.isFinite(next) ? next : null
  return decision
}

/** Whether the scanner of a lease is still there. */
const isServed = ({ scannerId }: SlotLease, usage: Usage) => scannerId !== null && usage.hasScanner(scannerId)
