import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decideSlots } from './decide.ts'
import { compareRequests } from './queue.ts'
import { simulateSlots } from './simulate.ts'
import type { SlotLease, SlotLimits, SlotRequest, SlotState } from './types.ts'

const minuteMs = 60_000
const baseLimits: SlotLimits = {
  perHost: 1,
  perDatastore: 2,
  perScanner: 8,
  total: 64,
  hosts: {},
  datastores: {},
  scanners: {},
  onMigration: 'finish',
  agingMs: 6 * 60 * minuteMs,
}

function request(id: string, given: Partial<SlotRequest> = {}): SlotRequest {
  return {
    id,
    machineId: `m-${id}`,
    hostId: 'h1',
    datastores: [],
    priority: 3,
    ignoresLimits: false,
    isPaused: false,
    isOnline: true,
    hasBegun: false,
    isEnding: false,
    isTemplate: false,
    parentMachineId: null,
    lastScanAtMs: null,
    enqueuedAtMs: 0,
    notBeforeMs: null,
    window: null,
    whenTooLong: 'start',
    atWindowEnd: 'pause',
    durationMs: minuteMs,
    ...given,
  }
}

function lease(of: SlotRequest, given: Partial<SlotLease> = {}): SlotLease {
  return {
    id: `lease-${of.id}`,
    requestId: of.id,
    hostId: of.hostId,
    datastores: of.datastores,
    scannerId: 's1',
    state: 'held',
    isOverLimit: false,
    grantedAtMs: 0,
    expiresAtMs: 100 * minuteMs,
    ...given,
  }
}

const state = (given: Partial<SlotState>): SlotState => ({
  nowMs: minuteMs,
  limits: baseLimits,
  scanners: ['s1'],
  requests: [],
  leases: [],
  ...given,
})
const granted = (given: Partial<SlotState>) =>
  decideSlots(state(given)).grants.map(({ requestId }) => requestId)

describe('order', () => {
  it('is priority, then what has begun, templates, and the oldest last scan', () => {
    const requests = [
      request('new', { lastScanAtMs: 900 }),
      request('old', { lastScanAtMs: 100 }),
      request('never'),
      request('template', { isTemplate: true, lastScanAtMs: 999 }),
      request('begun', { hasBegun: true, lastScanAtMs: 999 }),
      request('urgent', { priority: 6, lastScanAtMs: 999 }),
    ]
    const sorted = requests.sort(compareRequests(baseLimits, 1)).map(({ id }) => id)
    expect(sorted).toEqual(['urgent', 'begun', 'template', 'never', 'old', 'new'])
  })

  it('lets clones wait for their template, across hosts, but not for one that cannot be scanned', () => {
    const template = request('t', { isTemplate: true })
    const clone = request('c', { hostId: 'h2', parentMachineId: 'm-t', priority: 9 })
    const grandchild = request('g', { hostId: 'h3', parentMachineId: 'm-absent', priority: 9 })
    const requests = [clone, template, grandchild]
    expect(granted({ requests })).toEqual(['g', 't'])
    const { waiting } = decideSlots(state({ requests }))
    expect(waiting.get('c')).toEqual({ reason: 'template_first', blockedBy: 'm-t', position: 1 })
    expect(granted({ requests: [clone, { ...template, isOnline: false }] })).toEqual(['c'])
    const loop = [request('a', { parentMachineId: 'm-b' }), request('b', { parentMachineId: 'm-a' })]
    expect(granted({ requests: loop })).toEqual(['a'])
  })

  it('lets an operator pass every limit but not two scans of one machine', () => {
    const running = request('r')
    const forced = request('f', { ignoresLimits: true })
    const twice = request('x', { ignoresLimits: true, machineId: 'm-r' })
    const { grants, waiting } = decideSlots(
      state({ requests: [running, forced, twice], leases: [lease(running)] }),
    )
    expect(grants).toMatchObject([{ requestId: 'f', isOverLimit: true }])
    expect(waiting.get('x')?.reason).toBe('machine_busy')
  })
})

describe('leases', () => {
  it('lapse when their holder is silent, and the next machine starts', () => {
    const [a, b] = [request('a'), request('b')]
    const silent = lease(a, { expiresAtMs: minuteMs })
    const decision = decideSlots(state({ requests: [{ ...a, isOnline: false }, b], leases: [silent] }))
    expect(decision.ends).toEqual([{ leaseId: 'lease-a', why: 'expired' }])
    expect(decision.grants).toMatchObject([{ requestId: 'b' }])
    expect(decision.waiting.get('a')?.reason).toBe('offline')
  })

  it('are taken back for a pause and at the end of a window, and count until the machine has stopped', () => {
    const paused = request('a', { isPaused: true })
    const late = request('b', { hostId: 'h2', window: { startMs: 0, endMs: 30_000 } })
    const finishing = request('c', {
      hostId: 'h3',
      window: { startMs: 0, endMs: 30_000 },
      atWindowEnd: 'finish',
    })
    const next = request('n')
    const decision = decideSlots(
      state({
        requests: [paused, late, finishing, next],
        leases: [lease(paused), lease(late), lease(finishing)],
      }),
    )
    expect(decision.releases).toEqual([
      { leaseId: 'lease-a', why: 'paused' },
      { leaseId: 'lease-b', why: 'window_end' },
    ])
    expect(decision.grants).toEqual([])
    expect(decision.waiting.get('n')).toMatchObject({ reason: 'host_busy', blockedBy: 'h1' })
  })

  it('follow a migration: into a free slot, over the limit once, then no further', () => {
    const onHost2 = request('x', { hostId: 'h2' })
    const [a, b] = [request('a', { hostId: 'h2' }), request('b', { hostId: 'h2' })]
    const moved = [lease(a, { hostId: 'h1' }), lease(b, { hostId: 'h3' })]
    const free = decideSlots(state({ requests: [a], leases: [lease(a, { hostId: 'h1' })] }))
    expect(free.moves).toMatchObject([{ leaseId: 'lease-a', hostId: 'h2', isOverLimit: false }])
    const full = decideSlots(state({ requests: [onHost2, a, b], leases: [lease(onHost2), ...moved] }))
    expect(full.moves).toMatchObject([
      { leaseId: 'lease-a', isOverLimit: true },
      { leaseId: 'lease-b', isOverLimit: true },
    ])
    expect(full.releases).toEqual([{ leaseId: 'lease-b', why: 'host_full' }])
    const strict = decideSlots(
      state({
        limits: { ...baseLimits, onMigration: 'pause' },
        requests: [onHost2, a],
        leases: [lease(onHost2), lease(a, { hostId: 'h1' })],
      }),
    )
    expect(strict.releases).toEqual([{ leaseId: 'lease-a', why: 'host_full' }])
  })

  it('go to another scanner when theirs is gone, and nothing starts without any', () => {
    const a = request('a')
    const { moves } = decideSlots(state({ requests: [a], leases: [lease(a)], scanners: ['s2'] }))
    expect(moves).toMatchObject([{ leaseId: 'lease-a', scannerId: 's2' }])
    const { waiting } = decideSlots(state({ requests: [a], scanners: [] }))
    expect(waiting.get('a')?.reason).toBe('no_scanner')
  })
})

const requestArbitrary = fc.record({
  hostId: fc.option(fc.constantFrom('h1', 'h2', 'h3'), { nil: null }),
  datastores: fc.subarray(['d1', 'd2', 'd3']),
  priority: fc.integer({ min: 0, max: 9 }),
  isPaused: fc.integer({ min: 0, max: 4 }).map((value) => value === 0),
  isOnline: fc.integer({ min: 0, max: 4 }).map((value) => value > 0),
  isTemplate: fc.boolean(),
  lastScanAtMs: fc.option(fc.integer({ min: 0, max: 1000 }), { nil: null }),
  durationMs: fc.integer({ min: 1, max: 50 }).map((minutes) => minutes * minuteMs),
  parent: fc.option(fc.integer({ min: 0, max: 30 }), { nil: null }),
})
const requestsArbitrary = fc.array(requestArbitrary, { maxLength: 30 }).map((all) =>
  all.map(({ parent, ...given }, index) =>
    request(String(index), {
      ...given,
      parentMachineId: parent !== null && parent < index ? `m-${parent}` : null,
    }),
  ),
)
const limitsArbitrary = fc.record({
  perHost: fc.integer({ min: 1, max: 2 }),
  perDatastore: fc.integer({ min: 1, max: 3 }),
  perScanner: fc.integer({ min: 1, max: 4 }),
  total: fc.integer({ min: 1, max: 8 }),
})

/** Every limit that is taken, by name. */
function used(leases: readonly SlotLease[]): Map<string, number> {
  const count = new Map<string, number>()
  const add = (key: string) => count.set(key, (count.get(key) ?? 0) + 1)
  for (const { hostId, datastores, scannerId } of leases) {
    add('total')
    if (hostId !== null) add(`host ${hostId}`)
    if (scannerId !== null) add(`scanner ${scannerId}`)
    for (const name of datastores) add(`datastore ${name}`)
  }
  return count
}
function isOver(leases: readonly SlotLease[], limits: SlotLimits): boolean {
  const limitOf = (key: string) =>
    key === 'total'
      ? limits.total
      : key.startsWith('host')
        ? limits.perHost
        : key.startsWith('scanner')
          ? limits.perScanner
          : limits.perDatastore
  return [...used(leases)].some(([key, count]) => count > limitOf(key))
}
const leaseOf = (
  grant: { requestId: string },
  all: readonly SlotRequest[],
  nowMs: number,
  scannerId: string | null,
) =>
  lease(all.find(({ id }) => id === grant.requestId) ?? request(grant.requestId), {
    scannerId,
    grantedAtMs: nowMs,
    expiresAtMs: Number.MAX_SAFE_INTEGER,
  })

describe('properties', () => {
  it('a walk over all requests in order grants the same: never beyond a limit, nothing left free', () => {
    fc.assert(
      fc.property(requestsArbitrary, limitsArbitrary, (requests, given) => {
        const limits = { ...baseLimits, ...given }
        const { grants } = decideSlots(state({ requests, limits, scanners: ['s1', 's2'] }))
        const taken = grants.map((grant) => leaseOf(grant, requests, 0, grant.scannerId))
        expect(isOver(taken, limits)).toBe(false)
        const walked: SlotLease[] = []
        const canRun = ({ isPaused, isOnline }: SlotRequest) => !isPaused && isOnline
        const byMachine = new Map(requests.map((one) => [one.machineId, one]))
        for (const one of [...requests].sort(compareRequests(limits, minuteMs))) {
          let parent = byMachine.get(one.parentMachineId ?? '')
          while (parent !== undefined && !canRun(parent)) parent = byMachine.get(parent.parentMachineId ?? '')
          if (!canRun(one) || parent !== undefined) continue
          const scannerId = ['s1', 's2'].find(
            (id) => !isOver([...walked, lease(one, { scannerId: id })], limits),
          )
          if (scannerId !== undefined) walked.push(lease(one, { scannerId }))
        }
        expect(new Set(grants.map(({ requestId }) => requestId))).toEqual(
          new Set(walked.map(({ requestId }) => requestId)),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('a plan is what happens: deciding again at each end gives the times of the simulation', () => {
    fc.assert(
      fc.property(requestsArbitrary, limitsArbitrary, (given, limitsGiven) => {
        const limits = { ...baseLimits, ...limitsGiven, agingMs: Number.MAX_SAFE_INTEGER }
        const requests = given.map((one) => ({ ...one, isPaused: false, isOnline: true }))
        const plan = simulateSlots({ nowMs: 0, limits, scanners: ['s1', 's2'], requests, running: [] })
        let open = requests
        let leases: SlotLease[] = []
        const starts = new Map<string, number>()
        for (let nowMs = 0; open.length > 0; ) {
          const { grants } = decideSlots(
            state({ nowMs, limits, requests: open, leases, scanners: ['s1', 's2'] }),
          )
          for (const grant of grants) {
            starts.set(grant.requestId, nowMs)
            leases.push(leaseOf(grant, open, nowMs, grant.scannerId))
          }
          expect(isOver(leases, limits)).toBe(false)
          const endOf = (one: SlotRequest) => (starts.get(one.id) ?? Number.NaN) + one.durationMs
          const nextMs = Math.min(...open.map(endOf).filter((endMs) => !Number.isNaN(endMs)))
          nowMs = nextMs
          open = open.filter((one) => endOf(one) !== nextMs)
          leases = leases.filter(({ requestId }) => open.some(({ id }) => id === requestId))
        }
        expect(new Map(plan.scans.map(({ requestId, startMs }) => [requestId, startMs]))).toEqual(starts)
      }),
      { numRuns: 200 },
    )
  })

  it('nobody starves, however many urgent machines keep coming for the same datastores', () => {
    const limits = { ...baseLimits, agingMs: 10 * minuteMs, perDatastore: 1 }
    const patient = request('patient', { priority: 0, datastores: ['d1', 'd2'] })
    let leases: SlotLease[] = []
    let served = false
    for (let minute = 1; minute < 300 && !served; minute += 1) {
      const nowMs = minute * minuteMs
      // One datastore frees at a time, and somebody urgent always wants it.
      const rivals = ['d1', 'd2'].map((name) =>
        request(`${name}-${minute}`, { priority: 9, hostId: null, datastores: [name], enqueuedAtMs: nowMs }),
      )
      const before = leases.filter(({ expiresAtMs }) => expiresAtMs > nowMs)
      const holders = before.map((held) =>
        request(held.requestId, { hostId: null, datastores: held.datastores }),
      )
      const requests = [patient, ...rivals, ...holders]
      const { grants } = decideSlots(state({ nowMs, limits, requests, leases: before }))
      served = grants.some(({ requestId }) => requestId === 'patient')
      const fresh = grants.map((grant) =>
        lease(requests.find(({ id }) => id === grant.requestId) ?? patient, {
          expiresAtMs: nowMs + (grant.datastores[0] === 'd1' ? 2 : 3) * minuteMs,
        }),
      )
      leases = [...before, ...fresh]
    }
    expect(served).toBe(true)
  })

  it('answers the same for the same state', () => {
    fc.assert(
      fc.property(requestsArbitrary, (requests) => {
        expect(decideSlots(state({ requests }))).toEqual(
          decideSlots(state({ requests: [...requests].reverse() })),
        )
      }),
    )
  })
})

describe('simulation', () => {
  it('says when each ends, the peak, and what does not fit into the window', () => {
    const window = { startMs: 0, endMs: 100 }
    const requests = [
      request('a', { durationMs: 60, window }),
      request('b', { durationMs: 60, window, lastScanAtMs: 5 }),
      request('c', { durationMs: 60, window, lastScanAtMs: 9 }),
      request('d', { durationMs: 30, window, hostId: 'h2', notBeforeMs: 50 }),
      request('e', { durationMs: 200, window, hostId: 'h3', whenTooLong: 'wait' }),
    ]
    const plan = simulateSlots({ nowMs: 0, limits: baseLimits, scanners: ['s1'], requests, running: [] })
    expect(plan.scans.map(({ startMs, endMs }) => [startMs, endMs])).toEqual([
      [0, 60],
      [60, null],
      [null, null],
      [50, 80],
      [null, null],
    ])
    expect(plan).toMatchObject({ peak: 2, peakAtMs: 50, startMs: 0, endMs: 100 })
  })
})
