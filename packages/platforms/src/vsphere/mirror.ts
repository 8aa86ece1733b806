import type { Change, HostRecord, Inventory, MachineRecord, Ref } from '../types.ts'
import { type CopyEvents, indexDiskOwners, joinParents, linkedParent } from './lineage.ts'
import type { ObjectUpdate } from './property-collector.ts'
import {
  emptyHostFacts,
  emptyMachineFacts,
  type HostFacts,
  type MachineFacts,
  toHostRecord,
  toMachineRecord,
  unescapeName,
  updateHostFacts,
  updateMachineFacts,
} from './records.ts'

/** What a stream of updates amounts to. Updates may come twice, and objects enter again: only differences are told. */
export type Mirror = {
  apply: (update: ObjectUpdate) => void
  /** To be looked at by the next `takeChanges` although no property of it changed. */
  touch: (ref: Ref) => void
  /** VMs that entered since the last call. */
  takeNewcomers: () => Ref[]
  /** What differs from what was told by `inventory` or an earlier `takeChanges`. */
  takeChanges: () => Change[]
  inventory: () => Inventory
  size: () => number
}

export function createMirror(copies: Pick<CopyEvents, 'parentOf'>): Mirror {
  const machines = new Map<Ref, MachineFacts>()
  const hosts = new Map<Ref, HostFacts>()
  const clusters = new Map<Ref, string>()
  /** JSON of the records as they were told. */
  const told = new Map<Ref, string>()
  const touched = new Set<Ref>()
  const newcomers = new Set<Ref>()

  function applyMachine({ kind, object: { id }, changes }: ObjectUpdate): void {
    const known = machines.get(id)
    // Read on the side before its `enter` came: half a machine.
    if (kind === 'modify' && known === undefined) return
    if (known === undefined) newcomers.add(id)
    const facts = kind === 'modify' && known !== undefined ? known : emptyMachineFacts()
    updateMachineFacts(facts, changes)
    machines.set(id, detached(facts))
  }

  function applyHost({ kind, object: { id }, changes }: ObjectUpdate): void {
    const clusterBefore = hosts.get(id)?.clusterRef
    const facts = (kind === 'modify' ? hosts.get(id) : undefined) ?? emptyHostFacts()
    updateHostFacts(facts, changes)
    hosts.set(id, detached(facts))
    if (facts.clusterRef === clusterBefore) return
    for (const [ref, { hostRef }] of machines) if (hostRef === id) touched.add(ref)
  }

  /** Records of the given machines; disks are indexed once for all of them, and only where one builds upon another. */
  function machineRecords(refs: Iterable<[Ref, MachineFacts]>): MachineRecord[] {
    let owners: Map<string, Ref> | undefined
    const ownersOnce = () => {
      owners ??= indexDiskOwners(machines)
      return owners
    }
    return [...refs].map(([ref, facts]) =>
      toMachineRecord(ref, facts, {
        clusterRef: hosts.get(facts.hostRef ?? '')?.clusterRef ?? null,
        parent: joinParents(linkedParent(facts, ownersOnce), copies.parentOf(ref)),
      }),
    )
  }

  const hostRecords = (refs: Iterable<[Ref, HostFacts]>) =>
    [...refs].map(([ref, facts]) => toHostRecord(ref, facts))
  const among = <Facts>(all: Map<Ref, Facts>) =>
    [...touched].flatMap((ref): [Ref, Facts][] => {
      const facts = all.get(ref)
      return facts === undefined ? [] : [[ref, facts]]
    })
  /** Whether a record is news; from now on it is not. */
  function tell(record: MachineRecord | HostRecord): boolean {
    const json = JSON.stringify(record)
    if (told.get(record.ref) === json) return false
    told.set(record.ref, json)
    return true
  }

  return {
    apply: (update) => {
      const { kind, object, changes } = update
      if (kind === 'leave') {
        machines.delete(object.id)
        hosts.delete(object.id)
        clusters.delete(object.id)
        newcomers.delete(object.id)
      } else if (object.type === 'VirtualMachine') applyMachine(update)
      else if (object.type === 'HostSystem') applyHost(update)
      else if (object.type === 'ClusterComputeResource') {
        const name = changes.find(({ path }) => path === 'name')?.value?.text
        clusters.set(object.id, unescapeName(name ?? null) ?? clusters.get(object.id) ?? object.id)
      } else return
      touched.add(object.id)
    },
    touch: (ref) => touched.add(ref),
    takeNewcomers: () => {
      const refs = [...newcomers]
      newcomers.clear()
      return refs
    },
    takeChanges: () => {
      const changes: Change[] = [
        ...hostRecords(among(hosts))
          .filter(tell)
          .map((host): Change => ({ type: 'host', host })),
        ...machineRecords(among(machines))
          .filter(tell)
          .map((machine): Change => ({ type: 'machine', machine, at: null })),
      ]
      for (const ref of touched) {
        if (machines.has(ref) || hosts.has(ref) || !told.delete(ref)) continue
        changes.push({ type: 'gone', ref })
      }
      touched.clear()
      return changes
    },
    inventory: () => {
      const inventory: Inventory = {
        clusters: [...clusters].map(([ref, name]) => ({ ref, name })),
        hosts: hostRecords(hosts),
        machines: machineRecords(machines),
      }
      for (const record of [...inventory.hosts, ...inventory.machines]) tell(record)
      touched.clear()
      newcomers.clear()
      return inventory
    },
    size: () => machines.size + hosts.size + clusters.size,
  }
}

/** A copy whose strings are its own: cut out of an answer, they keep all of it in memory. */
function detached<Facts>(facts: Facts): Facts {
  return JSON.parse(JSON.stringify(facts))
}
