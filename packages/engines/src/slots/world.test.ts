/** A small data centre in time: machines work, vanish, come back, move and are paused; the scheduler decides each second. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decideSlots } from './decide.ts'
import type { SlotLease, SlotLimits, SlotRequest } from './types.ts'

const ttlSeconds = 6
const safeSeconds = 4
const limits: SlotLimits = {
  perHost: 1,
  perDatastore: 2,
  perScanner: 3,
  total: 4,
  hosts: { h1: 2 },
  datastores: {},
  scanners: {},
  onMigration: 'pause',
  agingMs: 60_000,
}

type Machine = {
  request: SlotRequest
  leftSeconds: number
  offlineForSeconds: number
  /** The lease under which it works, as far as it knows. */
  works: string | undefined
}
type Happening = {
  at: number
  machine: number
  what: 'leave' | 'return' | 'pause' | 'resume' | 'move'
  host: string
}

const happeningArbitrary: fc.Arbitrary<Happening> = fc.record({
  at: fc.integer({ min: 0, max: 60 }),
  machine: fc.integer({ min: 0, max: 7 }),
  what: fc.constantFrom('leave', 'return', 'pause', 'resume', 'move'),
  host: fc.constantFrom('h0', 'h1', 'h2'),
})

function newMachine(index: number): Machine {
  return {
    leftSeconds: 1 + (index % 4) * 3,
    offlineForSeconds: 0,
    works: undefined,
    request: {
      id: `r${index}`,
      machineId: `m${index}`,
      hostId: `h${index % 3}`,
      datastores: [`d${index % 2}`],
      priority: 3,
      ignoresLimits: false,
      isPaused: false,
      isOnline: true,
      hasBegun: false,
      isEnding: false,
      isTemplate: index === 0,
      parentMachineId: index % 4 === 1 ? 'm0' : null,
      lastScanAtMs: index * 100,
      enqueuedAtMs: 0,
      notBeforeMs: null,
      window: null,
      whenTooLong: 'start',
      atWindowEnd: 'pause',
      durationMs: 5000,
    },
  }
}

function happen({ request }: Machine, { what, host }: Happening): SlotRequest {
  if (what === 'leave' || what === 'return') return { ...request, isOnline: what === 'return' }
  if (what === 'pause' || what === 'resume') return { ...request, isPaused: what === 'pause' }
  return { ...request, hostId: host }
}

/** What a machine does in a second, given what it can know of its lease; answers whether it gave its lease back. */
function act(machine: Machine, lease: SlotLease | undefined): boolean {
  machine.offlineForSeconds = machine.request.isOnline ? 0 : machine.offlineForSeconds + 1
  if (machine.offlineForSeconds >= safeSeconds) machine.works = undefined
  if (machine.request.isOnline) machine.works = lease?.state === 'held' ? lease.id : undefined
  if (machine.works !== undefined) machine.leftSeconds -= 1
  return machine.request.isOnline && lease?.state === 'releasing'
}

it('never scans beyond a limit, and every machine ends, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(happeningArbitrary, { maxLength: 40 }), fc.boolean(), (happenings, mayMove) => {
      const machines = Array.from({ length: 8 }, (_, index) => newMachine(index))
      let leases: SlotLease[] = []
      let serial = 0
      for (let second = 0; second < 400 && machines.some(({ leftSeconds }) => leftSeconds > 0); second += 1) {
        const nowMs = second * 1000
        for (const happening of happenings) {
          const machine = machines[happening.machine]
          if (happening.at !== second || machine === undefined || (happening.what === 'move' && !mayMove))
            continue
          machine.request = happen(machine, happening)
        }
        // In the end everybody is there.
        if (second === 61)
          for (const machine of machines)
            machine.request = { ...machine.request, isOnline: true, isPaused: false }
        const open = machines.filter(({ leftSeconds }) => leftSeconds > 0)
        const online = new Set(open.flatMap(({ request }) => (request.isOnline ? [request.id] : [])))
        leases = leases.map((lease) =>
          online.has(lease.requestId) ? { ...lease, expiresAtMs: nowMs + ttlSeconds * 1000 } : lease,
        )
        const decision = decideSlots({
          nowMs,
          limits,
          scanners: ['s1', 's2'],
          requests: open.map(({ request }) => request),
          leases,
        })
        const ended = new Set(decision.ends.map(({ leaseId }) => leaseId))
        const released = new Set(decision.releases.map(({ leaseId }) => leaseId))
        leases = leases.filter(({ id }) => !ended.has(id))
        for (const { leaseId, ...place } of decision.moves)
          leases = leases.map((lease) => (lease.id === leaseId ? { ...lease, ...place } : lease))
        leases = leases.map((lease) =>
          released.has(lease.id) ? { ...lease, state: 'releasing' as const } : lease,
        )
        for (const grant of decision.grants) {
          serial += 1
          leases.push({
            ...grant,
            id: `l${serial}`,
            state: 'held',
            grantedAtMs: nowMs,
            expiresAtMs: nowMs + ttlSeconds * 1000,
          })
        }
        for (const machine of open) {
          const lease = leases.find(({ requestId }) => requestId === machine.request.id)
          if (act(machine, lease)) leases = leases.filter((other) => other !== lease)
        }
        const working = open.filter(({ works }) => works !== undefined)
        expect(working.length).toBeLessThanOrEqual(limits.total)
        for (const host of ['h0', 'h1', 'h2']) {
          const here = working.filter(({ request }) => request.hostId === host && request.isOnline)
          expect(here.length).toBeLessThanOrEqual(limits.hosts[host] ?? limits.perHost)
        }
        if (!mayMove)
          for (const host of ['h0', 'h1', 'h2'])
            expect(working.filter(({ request }) => request.hostId === host).length).toBeLessThanOrEqual(
              limits.hosts[host] ?? limits.perHost,
            )
      }
      expect(machines.filter(({ leftSeconds }) => leftSeconds > 0)).toEqual([])
    }),
    { numRuns: 300 },
  )
})
