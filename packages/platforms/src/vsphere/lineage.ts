import { isAppError } from '@ringwall/contracts'
import type { ParentRecord, Ref } from '../types.ts'
import { childrenOf, textOf, type XmlElement } from '../xml.ts'
import { returned } from './property-collector.ts'
import { type MachineFacts, unescapeName } from './records.ts'
import { isLost, type Session } from './session.ts'
import { SoapFault, typeOf } from './soap.ts'

/** How far back copies are looked for when a platform is first read. */
const lookBackMs = 30 * 24 * 3_600_000
/** The most that a vCenter gives at a time. */
const eventsPerPage = 1000
/** Servers' clocks, and events that are written a little after what they tell. */
const overlapMs = 60_000

const copyEvents = ['VmClonedEvent', 'VmDeployedEvent']

export type CopyEvents = {
  /** Reads what is new and answers of which VMs; undefined where no events can be read (no right, or ESXi). */
  refresh: (signal: AbortSignal) => Promise<Ref[] | undefined>
  parentOf: (ref: Ref) => ParentRecord | undefined
}

/** Knows from the events of the last 30 days which VM was copied from which. */
export function createCopyEvents(session: Session): CopyEvents {
  const parents = new Map<Ref, ParentRecord>()
  let newest: Date | undefined

  async function read(signal: AbortSignal): Promise<Ref[] | undefined> {
    const { eventManager, isSingleHost } = await session.content(signal)
    if (eventManager === undefined || isSingleHost) return undefined
    const since = newest === undefined ? undefined : new Date(newest.getTime() - overlapMs)
    const begin = since ?? new Date(Date.now() - lookBackMs)
    const collector = returned(
      await session.callBound({
        method: 'CreateCollectorForEvents',
        on: eventManager,
        body:
          `<filter><time><beginTime>${begin.toISOString()}</beginTime></time>` +
          `${copyEvents.map((type) => `<eventTypeId>${type}</eventTypeId>`).join('')}</filter>`,
        signal,
      }),
      session,
      'CreateCollectorForEvents',
    )
    const call = (method: string, body = '') => session.callBound({ method, on: collector, body, signal })
    try {
      await call('SetCollectorPageSize', `<maxCount>${eventsPerPage}</maxCount>`)
      await call('RewindCollector')
      const refs: Ref[] = []
      for (;;) {
        const page = childrenOf(
          await call('ReadNextEvents', `<maxCount>${eventsPerPage}</maxCount>`),
          'returnval',
        )
        if (page.length === 0) return refs
        for (const event of page) refs.push(...add(event))
      }
    } finally {
      await session.cleanUp([{ method: 'DestroyCollector', on: collector }])
    }
  }

  function add(event: XmlElement): Ref[] {
    const at = new Date(textOf(event, 'createdTime') ?? Number.NaN)
    if (!Number.isNaN(at.getTime()) && (newest === undefined || at > newest)) newest = at
    const copy = toCopy(event)
    if (copy === undefined) return []
    parents.set(copy.ref, copy.parent)
    return [copy.ref]
  }

  return {
    parentOf: (ref) => parents.get(ref),
    refresh: async (signal) => {
      try {
        return await read(signal)
      } catch (error) {
        // An inventory without parents is still one; what ended the session or the connection is not for here.
        if (error instanceof SoapFault && !isLost(error)) return undefined
        if (isAppError(error, 'platform_permission')) return undefined
        throw error
      }
    },
  }
}

/** Which VM an event says to be a copy, and of what. VmDeployedEvent: of a template; VmClonedEvent: of a VM. */
export function toCopy(event: XmlElement): { ref: Ref; parent: ParentRecord } | undefined {
  const type = typeOf(event) ?? ''
  const source = type === 'VmDeployedEvent' ? 'srcTemplate' : 'sourceVm'
  const ref = textOf(event, 'vm', 'vm')
  const sourceRef = textOf(event, source, 'vm')
  if (!copyEvents.includes(type) || ref === null || ref === sourceRef) return undefined
  return {
    ref,
    parent: {
      ref: sourceRef,
      name: unescapeName(textOf(event, source, 'name')),
      kind: type === 'VmDeployedEvent' ? 'deployed' : 'full',
      evidence: `event ${type} ${textOf(event, 'key') ?? ''}`.trim(),
    },
  }
}

const folderOf = (file: string) => file.slice(0, file.lastIndexOf('/') + 1)

/** Which machine owns a disk file: whose own disk it is, or in whose folder it lies below one. */
export function indexDiskOwners(machines: Iterable<[Ref, MachineFacts]>): Map<string, Ref> {
  const owners = new Map<string, Ref>()
  for (const [ref, { configFile, disks }] of machines) {
    for (const { file, parents } of disks) {
      const home = folderOf(configFile ?? file)
      owners.set(file, ref)
      for (const parent of parents) if (folderOf(parent) === home) owners.set(parent, ref)
    }
  }
  return owners
}

/**
 * A disk that builds upon a file in another machine's folder makes a linked clone; within its own folder it is a
 * snapshot. A file that no known machine owns still tells that there is a parent.
 */
export function linkedParent(facts: MachineFacts, owners: () => Map<string, Ref>): ParentRecord | undefined {
  for (const { file, parents } of facts.disks) {
    const home = folderOf(facts.configFile ?? file)
    const foreign = parents.find((parent) => folderOf(parent) !== home && folderOf(parent) !== folderOf(file))
    if (foreign === undefined) continue
    return { ref: owners().get(foreign) ?? null, name: null, kind: 'linked', evidence: `disk ${foreign}` }
  }
  return undefined
}

/** Both kinds of evidence in one: the disk says how, the event says of whom. */
export function joinParents(
  linked: ParentRecord | undefined,
  copied: ParentRecord | undefined,
): ParentRecord | null {
  if (linked === undefined || copied === undefined) return linked ?? copied ?? null
  return {
    ref: copied.ref ?? linked.ref,
    name: copied.name,
    kind: 'linked',
    evidence: `${linked.evidence}, ${copied.evidence}`,
  }
}
