/**
 * Where each domain is, told from what several hosts say about it. Pure: no clock, no sockets. During a live migration (libvirt.org/migration.html) a domain is
 * seen on the source and the destination, sometimes on neither:
 *
 * - The host switches when the destination RESUMED, and not before.
 * - Between its STARTED/MIGRATED and its RESUMED the destination is where the domain migrates to.
 * - STOPPED/MIGRATED on the source never means off: the domain runs elsewhere, even if nobody has said where yet.
 * - A domain that left one host and was not seen on another stays where it was until the next list.
 */
import type { MachineRecord, Ref } from '../types.ts'
import type { DomainState } from './protocol.ts'

/** virDomainEventType and those of its details that matter here. */
export const lifecycle = {
  defined: 0,
  undefined: 1,
  started: 2,
  suspended: 3,
  resumed: 4,
  stopped: 5,
  shutdown: 6,
  pmSuspended: 7,
  crashed: 8,
}
export const lifecycleDetail = {
  startedMigrated: 1,
  suspendedMigrated: 1,
  suspendedPostcopy: 7,
  stoppedMigrated: 3,
}
/** virDomainState, and the reasons of PAUSED and SHUTOFF that a migration leaves. */
export const domainState = { paused: 3, shutoff: 5, crashed: 6, pmSuspended: 7 }
export const stateReason = { pausedMigration: 2, pausedStarting: 11, pausedPostcopy: 12, shutoffMigrated: 4 }

/**
 * `incoming`: a migration fills it and it has not run here yet. `outgoing`: paused for the last moments of a migration. `left`: only a definition
 * is here, as the domain went elsewhere.
 */
type Phase = 'running' | 'suspended' | 'incoming' | 'outgoing' | 'off' | 'left'
type Sighting<D> = {
  phase: Phase
  description: D | null
  /** When it came into this phase, by count: the last to start running is where it runs. */
  sequence: number
}
type Subject<D> = {
  sightings: Map<Ref, Sighting<D>>
  hostRef: Ref | null
  /** Of the host where it was last. */
  description: D | null
  /** The host that lost it last had it switched off: it ended there and did not leave for another. */
  isEnded: boolean
}

export type Placement<D> = {
  hostRef: Ref | null
  migratingToRef: Ref | null
  power: MachineRecord['power']
  description: D | null
}
/** What a host answered when asked for a domain. */
export type Observation<D> = { uuid: string; state: DomainState; description: D }

export type Sightings<D> = ReturnType<typeof createSightings<D>>

/** `D` is what is known of a domain beside its place; hosts tell it separately, as they may differ. */
export function createSightings<D>() {
  let subjects = new Map<string, Subject<D>>()
  let sequence = 0

  function subjectOf(uuid: string): Subject<D> {
    const subject = subjects.get(uuid) ?? {
      sightings: new Map(),
      hostRef: null,
      description: null,
      isEnded: false,
    }
    subjects.set(uuid, subject)
    return subject
  }

  function note(subject: Subject<D>, hostRef: Ref, phase: Phase, description?: D): void {
    const known = subject.sightings.get(hostRef)
    if (known === undefined || known.phase !== phase) sequence += 1
    subject.sightings.set(hostRef, {
      phase,
      description: description ?? known?.description ?? null,
      sequence: known?.phase === phase ? known.sequence : sequence,
    })
  }

  function enter(subject: Subject<D>, hostRef: Ref, phase: Phase, description?: D): void {
    note(subject, hostRef, phase, description)
    settle(subject)
  }

  function remove(subject: Subject<D>, hostRef: Ref): void {
    const known = subject.sightings.get(hostRef)
    if (known === undefined) return
    if (known.phase !== 'left') subject.isEnded = known.phase === 'off'
    subject.sightings.delete(hostRef)
    settle(subject)
  }

  function view(subject: Subject<D>): Placement<D> | 'gone' | undefined {
    if (subject.sightings.size === 0 && subject.hostRef === null) return undefined
    return subject.isEnded && !phasesOf(subject).some(isHere) ? 'gone' : placementOf(subject)
  }

  return {
    /** Takes in a lifecycle event of a host. */
    event(hostRef: Ref, uuid: string, event: number, detail: number): void {
      const subject = subjectOf(uuid)
      const known = subject.sightings.get(hostRef)?.phase ?? null
      if (event === lifecycle.undefined && (known === 'off' || known === 'left')) remove(subject, hostRef)
      const phase = phaseAfter(event, detail, known)
      if (phase !== null) enter(subject, hostRef, phase)
    },

    /** Takes in what a host answered for a domain; null: it has none such. */
    observe(hostRef: Ref, uuid: string, observation: Observation<D> | null): void {
      const subject = subjectOf(uuid)
      if (observation === null) remove(subject, hostRef)
      else enter(subject, hostRef, phaseSeen(subject, hostRef, observation.state), observation.description)
    },

    /** Takes in complete lists of all hosts; what none of them has is forgotten. */
    replace(lists: { hostRef: Ref; domains: Observation<D>[] }[]): void {
      const before = subjects
      subjects = new Map()
      const seen = lists.flatMap(({ hostRef, domains }) => domains.map((domain) => ({ hostRef, domain })))
      // A pause for a migration says which side it is only beside the other side.
      const clearFirst = seen.toSorted(
        (a, b) => Number(isMigrationPause(a.domain)) - Number(isMigrationPause(b.domain)),
      )
      for (const { hostRef, domain } of clearFirst) {
        const old = before.get(domain.uuid)
        const subject = subjectOf(domain.uuid)
        subject.hostRef ??= old?.hostRef ?? null
        const oldSighting = old?.sightings.get(hostRef)
        if (oldSighting !== undefined) subject.sightings.set(hostRef, oldSighting)
        note(subject, hostRef, phaseSeen(subject, hostRef, domain.state), domain.description)
      }
      for (const subject of subjects.values()) {
        settle(subject)
        if (!phasesOf(subject).some(isHere)) subject.hostRef = null
      }
    },

    /** Where a domain is; `gone` when it ended and no host has it; undefined when it was never seen. */
    placement(uuid: string): Placement<D> | 'gone' | undefined {
      const subject = subjects.get(uuid)
      return subject === undefined ? undefined : view(subject)
    },

    /** All that are somewhere. */
    all(): Map<string, Placement<D>> {
      const views = [...subjects].map(([uuid, subject]) => [uuid, view(subject)] as const)
      return new Map(
        views.flatMap(([uuid, seen]) => (seen === undefined || seen === 'gone' ? [] : [[uuid, seen]])),
      )
    },
  }
}

const isHere = (phase: Phase) => phase !== 'left'
const phasesOf = <D>(subject: Subject<D>) => [...subject.sightings.values()].map(({ phase }) => phase)

function phaseAfter(event: number, detail: number, known: Phase | null): Phase | null {
  switch (event) {
    case lifecycle.defined:
      return known === null ? 'off' : null
    case lifecycle.started:
      return detail === lifecycleDetail.startedMigrated ? 'incoming' : 'running'
    case lifecycle.resumed:
      return 'running'
    case lifecycle.suspended: {
      const isForMigration =
        detail === lifecycleDetail.suspendedMigrated || detail === lifecycleDetail.suspendedPostcopy
      if (known === null) return null
      if (!isForMigration) return 'suspended'
      return known === 'incoming' ? 'incoming' : 'outgoing'
    }
    case lifecycle.pmSuspended:
      return known === null ? null : 'suspended'
    case lifecycle.stopped:
      if (known === null) return null
      return detail === lifecycleDetail.stoppedMigrated ? 'left' : 'off'
    case lifecycle.crashed:
      return known === null ? null : 'off'
    default:
      return null
  }
}

function isMigrationPause({ state }: { state: DomainState }): boolean {
  const { pausedMigration, pausedStarting, pausedPostcopy } = stateReason
  return (
    state.state === domainState.paused &&
    (state.reason === pausedMigration || state.reason === pausedStarting || state.reason === pausedPostcopy)
  )
}

function phaseSeen<D>(subject: Subject<D>, hostRef: Ref, state: DomainState): Phase {
  switch (state.state) {
    case domainState.shutoff:
      return state.reason === stateReason.shutoffMigrated ? 'left' : 'off'
    case domainState.crashed:
      return 'off'
    case domainState.pmSuspended:
      return 'suspended'
    case domainState.paused: {
      if (!isMigrationPause({ state })) return 'suspended'
      const known = subject.sightings.get(hostRef)?.phase
      if (known === 'incoming') return 'incoming'
      if (known === 'running' || known === 'outgoing') return 'outgoing'
      const isElsewhere = [...subject.sightings].some(
        ([other, { phase }]) => other !== hostRef && phase !== 'off' && phase !== 'left',
      )
      return isElsewhere ? 'incoming' : 'outgoing'
    }
    default:
      return 'running'
  }
}

function latest<D>(subject: Subject<D>, ...phases: Phase[]): Ref | null {
  let found: { ref: Ref; sequence: number } | null = null
  for (const [ref, sighting] of subject.sightings)
    if (phases.includes(sighting.phase) && (found === null || sighting.sequence > found.sequence))
      found = { ref, sequence: sighting.sequence }
  return found?.ref ?? null
}

/** Moves `hostRef` where the sightings say; keeps it where they say nothing better. */
function settle<D>(subject: Subject<D>): void {
  const { sightings, hostRef } = subject
  const isStill = (...phases: Phase[]) => phases.includes(sightings.get(hostRef ?? '')?.phase ?? 'left')
  const active = latest(subject, 'running') ?? latest(subject, 'suspended')
  if (active !== null) subject.hostRef = active
  else if (!isStill('outgoing', 'incoming')) {
    const underway = latest(subject, 'outgoing') ?? latest(subject, 'incoming')
    subject.hostRef = underway ?? (isStill('off') ? hostRef : (latest(subject, 'off') ?? hostRef))
  }
  subject.description = sightings.get(subject.hostRef ?? '')?.description ?? subject.description
}

function placementOf<D>(subject: Subject<D>): Placement<D> {
  const { hostRef } = subject
  const incoming = latest(subject, 'incoming')
  return {
    hostRef,
    migratingToRef: incoming === hostRef ? null : incoming,
    power: powerOf(subject),
    description: subject.description ?? [...subject.sightings.values()].at(-1)?.description ?? null,
  }
}

function powerOf<D>(subject: Subject<D>): MachineRecord['power'] {
  const phases = phasesOf(subject)
  if (phases.includes('running')) return 'on'
  if (phases.includes('suspended')) return 'suspended'
  if (phases.includes('incoming') || phases.includes('outgoing')) return 'on'
  if (phases.includes('off')) return 'off'
  // It left for somewhere: on, as it was, until a list finds it nowhere.
  return subject.hostRef === null ? 'unknown' : 'on'
}
