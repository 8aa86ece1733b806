/** Proxmox VE rows and configurations as records of the frame. Pure. */
import type { HostRecord, MachineRecord, ParentRecord } from '../types.ts'
import {
  creationTimeOf,
  disksOf,
  type GuestConfig,
  guestOsOf,
  linkedBaseOf,
  macsOf,
  smbiosUuidOf,
} from './config.ts'
import type { GuestRow, ResourceRow, TaskRow } from './schemas.ts'

export const hostRefOf = (node: string) => `node/${node}`
export const clusterRef = 'cluster'

export type Guest = {
  row: GuestRow
  /** The other node while both list the guest: a migration is ending or beginning. */
  otherNode: string | null
}

/** Guests of `/cluster/resources`, one per id. Of two rows for one id, the node that was known before stays its place. */
export function guestsOf(
  rows: ResourceRow[],
  knownNode: (id: string) => string | undefined,
): Map<string, Guest> {
  const guests = new Map<string, Guest>()
  for (const row of rows) {
    if (!isGuest(row)) continue
    const first = guests.get(row.id)
    if (first === undefined) {
      guests.set(row.id, { row, otherNode: null })
      continue
    }
    if (first.row.node === row.node) continue
    const known = knownNode(row.id)
    const isPlace =
      known === row.node ||
      (known === undefined && first.row.status !== 'running' && row.status === 'running')
    guests.set(row.id, isPlace ? { row, otherNode: first.row.node } : { ...first, otherNode: row.node })
  }
  return guests
}

function isGuest(row: ResourceRow): row is GuestRow {
  return (row.type === 'qemu' || row.type === 'lxc') && row.node !== undefined && row.vmid !== undefined
}

/** What of a row means that the rest should be read again. Load figures change all the time and are left out. */
export function fingerprintOfRow({ row, otherNode }: Guest): string {
  return JSON.stringify([
    row.node,
    otherNode,
    row.name,
    row.status,
    row.template,
    row.lock,
    row.tags,
    row.maxmem,
    row.maxcpu,
    row.maxdisk,
  ])
}

export function hostOf(
  node: string,
  facts: { isOnline: boolean; address: string | null; version: string | null; hasCluster: boolean },
): HostRecord {
  return {
    ref: hostRefOf(node),
    name: node,
    clusterRef: facts.hasCluster ? clusterRef : null,
    address: facts.address,
    uuid: null,
    state: facts.isOnline ? 'up' : 'down',
    version: facts.version,
  }
}

export function machineOf(
  guest: Guest,
  facts: { config: GuestConfig; addresses: string[]; parent: ParentRecord | null; hasCluster: boolean },
): MachineRecord {
  const { row, otherNode } = guest
  const { config } = facts
  return {
    ref: row.id,
    name: row.name ?? `${row.type === 'lxc' ? 'CT' : 'VM'} ${row.vmid}`,
    isTemplate: row.template === true,
    hostRef: hostRefOf(row.node),
    migratingToRef: otherNode === null ? null : hostRefOf(otherNode),
    clusterRef: facts.hasCluster ? clusterRef : null,
    power: powerOf(row.status),
    uuid: row.type === 'qemu' ? smbiosUuidOf(config) : null,
    macs: macsOf(config),
    addresses: facts.addresses,
    guestOs: guestOsOf(config),
    datastores: [...new Set(disksOf(config).map(({ storage }) => storage))].sort(),
    parent: facts.parent,
  }
}

function powerOf(status: string | undefined): MachineRecord['power'] {
  if (status === 'running') return 'on'
  if (status === 'stopped') return 'off'
  return status === 'paused' || status === 'suspended' || status === 'prelaunch' ? 'suspended' : 'unknown'
}

export type GuestFacts = { row: GuestRow; config: GuestConfig }
export type Lineage = (guest: GuestFacts) => ParentRecord | null

/**
 * Tells where guests were copied from. A linked clone says so by its disk. A full copy keeps only the creation time of its first ancestor:
 * finished `qmclone` tasks of exactly one other guest with that time name the source, else the templates that share it are a hint.
 */
export function createLineage(all: Iterable<GuestFacts>, tasks: TaskRow[]): Lineage {
  const rowOf = new Map<number, GuestRow>()
  const relatives = new Map<number, GuestRow[]>()
  for (const { row, config } of all) {
    rowOf.set(row.vmid, row)
    const createdAt = row.type === 'qemu' ? creationTimeOf(config) : null
    if (createdAt !== null) relatives.set(createdAt, [...(relatives.get(createdAt) ?? []), row])
  }
  const clonings = new Map<number, TaskRow>()
  for (const task of tasks) {
    const isDone = task.status === undefined || task.status === 'OK' || task.status.startsWith('WARNINGS')
    if (task.type === 'qmclone' && isDone) clonings.set(Number(task.id), task)
  }

  function linkedParent(guest: GuestFacts): ParentRecord | null {
    const base = linkedBaseOf(guest.config)
    if (base === null || base.vmid === guest.row.vmid) return null
    const template = rowOf.get(base.vmid)
    return {
      ref: template?.id ?? null,
      name: template?.name ?? `${base.vmid}`,
      kind: 'linked',
      evidence: base.evidence,
    }
  }

  function fullParent({ row, config }: GuestFacts): ParentRecord | null {
    const createdAt = row.type === 'qemu' ? creationTimeOf(config) : null
    if (createdAt === null) return null
    const others = (relatives.get(createdAt) ?? []).filter(({ id }) => id !== row.id)
    const [source, ...moreSources] = others.filter(({ vmid }) => clonings.has(vmid))
    // What others were cloned from is not taken for a copy of its own children.
    if (source !== undefined && moreSources.length === 0 && !clonings.has(row.vmid)) {
      const evidence = `task ${clonings.get(source.vmid)?.upid}`
      return { ref: source.id, name: source.name ?? null, kind: 'full', evidence }
    }
    const templates = row.template === true ? [] : others.filter(({ template }) => template === true)
    const [template] = templates
    if (template === undefined) return null
    const evidence = `meta ctime=${createdAt} as in ${templates.map(({ id }) => id).join(', ')}`
    const isOnly = templates.length === 1
    return {
      ref: isOnly ? template.id : null,
      name: isOnly ? (template.name ?? null) : null,
      kind: 'unknown',
      evidence,
    }
  }

  return (guest) => linkedParent(guest) ?? fullParent(guest)
}
