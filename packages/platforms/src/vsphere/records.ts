import { isIP } from 'node:net'
import { normaliseMac, normaliseUuid } from '../normalise.ts'
import type { HostRecord, MachineRecord, ParentRecord, Ref } from '../types.ts'
import { childOf, childrenOf, textOf, type XmlElement } from '../xml.ts'
import type { ObjectUpdate, PropertyPaths } from './property-collector.ts'
import { toRef, typeOf } from './soap.ts'

/** A virtual disk: its file and the files it builds upon, nearest first, as `[datastore] folder/file.vmdk`. */
export type DiskFacts = { file: string; parents: string[] }

/** What is kept of a VM between two changes: a hundredth of what its answer carried. */
export type MachineFacts = {
  name: string | null
  uuid: string | null
  isTemplate: boolean | null
  /** The same two as the server remembers them while the VM itself cannot be read. */
  summaryUuid: string | null
  summaryIsTemplate: boolean | null
  hostRef: Ref | null
  power: string | null
  connection: string | null
  guestOs: string | null
  macs: string[]
  disks: DiskFacts[]
  /** `[datastore] folder/name.vmx`. */
  configFile: string | null
  guestAddresses: string[]
  guestAddress: string | null
}

export type HostFacts = {
  name: string | null
  clusterRef: Ref | null
  uuid: string | null
  connection: string | null
  isInMaintenance: boolean
  version: string | null
}

type Readers<Facts> = Record<string, (value: XmlElement | undefined, facts: Facts) => void>
const text = (value: XmlElement | undefined) => value?.text || null
const flag = (value: XmlElement | undefined) => (value === undefined ? null : value.text === 'true')

const machineReaders: Readers<MachineFacts> = {
  name: (value, facts) => {
    facts.name = unescapeName(text(value))
  },
  'config.uuid': (value, facts) => {
    facts.uuid = normaliseUuid(text(value))
  },
  'config.template': (value, facts) => {
    facts.isTemplate = flag(value)
  },
  'summary.config.uuid': (value, facts) => {
    facts.summaryUuid = normaliseUuid(text(value))
  },
  'summary.config.template': (value, facts) => {
    facts.summaryIsTemplate = flag(value)
  },
  'summary.config.guestFullName': (value, facts) => {
    facts.guestOs = text(value)
  },
  'summary.config.vmPathName': (value, facts) => {
    facts.configFile = text(value)
  },
  'config.hardware.device': (value, facts) => {
    const devices = value?.children ?? []
    facts.macs = distinct(devices.map((device) => normaliseMac(textOf(device, 'macAddress'))))
    facts.disks = devices.flatMap((device) => toDisk(device))
  },
  'guest.net': (value, facts) => {
    facts.guestAddresses = distinct(
      (value?.children ?? []).flatMap((nic) => childrenOf(nic, 'ipAddress').map((item) => item.text)),
    )
  },
  'guest.ipAddress': (value, facts) => {
    facts.guestAddress = text(value)
  },
  'runtime.host': (value, facts) => {
    facts.hostRef = toRef(value)?.id ?? null
  },
  'runtime.powerState': (value, facts) => {
    facts.power = text(value)
  },
  'runtime.connectionState': (value, facts) => {
    facts.connection = text(value)
  },
}

const hostReaders: Readers<HostFacts> = {
  name: (value, facts) => {
    facts.name = unescapeName(text(value))
  },
  parent: (value, facts) => {
    const parent = toRef(value)
    facts.clusterRef = parent?.type === 'ClusterComputeResource' ? parent.id : null
  },
  'hardware.systemInfo.uuid': (value, facts) => {
    facts.uuid = normaliseUuid(text(value))
  },
  'runtime.connectionState': (value, facts) => {
    facts.connection = text(value)
  },
  'runtime.inMaintenanceMode': (value, facts) => {
    facts.isInMaintenance = flag(value) === true
  },
  'config.product.version': (value, facts) => {
    facts.version = text(value)
  },
}

/** Everything that is read, by type of object. */
export const inventoryPaths: PropertyPaths = {
  VirtualMachine: Object.keys(machineReaders),
  HostSystem: Object.keys(hostReaders),
  ClusterComputeResource: ['name'],
}

export function emptyMachineFacts(): MachineFacts {
  return {
    name: null,
    uuid: null,
    isTemplate: null,
    summaryUuid: null,
    summaryIsTemplate: null,
    hostRef: null,
    power: null,
    connection: null,
    guestOs: null,
    macs: [],
    disks: [],
    configFile: null,
    guestAddresses: [],
    guestAddress: null,
  }
}

export function emptyHostFacts(): HostFacts {
  return {
    name: null,
    clusterRef: null,
    uuid: null,
    connection: null,
    isInMaintenance: false,
    version: null,
  }
}

export function updateMachineFacts(facts: MachineFacts, changes: ObjectUpdate['changes']): void {
  update(machineReaders, facts, changes)
}

export function updateHostFacts(facts: HostFacts, changes: ObjectUpdate['changes']): void {
  update(hostReaders, facts, changes)
}

function update<Facts>(readers: Readers<Facts>, facts: Facts, changes: ObjectUpdate['changes']): void {
  for (const { path, value } of changes) {
    // Older servers and captures name some of the same values below `summary`.
    const read = readers[path] ?? readers[path.replace(/^summary\.(config\.product|runtime)\./, longPath)]
    read?.(value, facts)
  }
}
const longPath = (_: string, group: string) => `${group}.`

function toDisk(device: XmlElement): DiskFacts[] {
  if (typeOf(device) !== 'VirtualDisk') return []
  const backing = childOf(device, 'backing')
  const file = textOf(backing, 'fileName')
  if (file === null) return []
  const parents: string[] = []
  for (let at = childOf(backing, 'parent'); at !== undefined; at = childOf(at, 'parent')) {
    const parent = textOf(at, 'fileName')
    if (parent !== null) parents.push(parent)
  }
  return [{ file, parents }]
}

const powers: Record<string, MachineRecord['power']> = {
  poweredOn: 'on',
  poweredOff: 'off',
  suspended: 'suspended',
}

export function toMachineRecord(
  ref: Ref,
  facts: MachineFacts,
  context: { clusterRef: Ref | null; parent: ParentRecord | null },
): MachineRecord {
  const { connection, disks, configFile } = facts
  // The last known power state of a VM that the server cannot reach says nothing about now.
  const isReachable = connection === null || connection === 'connected'
  const files = disks.length > 0 ? disks.map(({ file }) => file) : [configFile ?? '']
  return {
    ref,
    name: facts.name ?? ref,
    isTemplate: facts.isTemplate ?? facts.summaryIsTemplate ?? false,
    hostRef: facts.hostRef,
    migratingToRef: null,
    clusterRef: context.clusterRef,
    power: (isReachable ? powers[facts.power ?? ''] : undefined) ?? 'unknown',
    uuid: facts.uuid ?? facts.summaryUuid,
    macs: facts.macs,
    addresses: distinct([facts.guestAddress, ...facts.guestAddresses]).filter(
      (address) => isIP(address) !== 0,
    ),
    guestOs: facts.guestOs,
    datastores: distinct(files.map(datastoreOf)),
    parent: context.parent,
  }
}

export function toHostRecord(ref: Ref, facts: HostFacts): HostRecord {
  const { name, connection, isInMaintenance } = facts
  const reached = { connected: 'up', disconnected: 'down', notResponding: 'down' } as const
  const state = reached[connection as keyof typeof reached] ?? 'unknown'
  // A vCenter names a host by the address it was added with.
  const isAddress = name !== null && (isIP(name) !== 0 || /^[\w-]+(\.[\w-]+)+$/.test(name))
  return {
    ref,
    name: name ?? ref,
    clusterRef: facts.clusterRef,
    address: isAddress ? name : null,
    uuid: facts.uuid,
    state: state === 'up' && isInMaintenance ? 'maintenance' : state,
    version: facts.version,
  }
}

/** Names of inventory objects carry `/`, `\` and `%` as `%2f`, `%5c` and `%25`. */
export function unescapeName(name: string | null): string | null {
  return name?.replace(/%(2f|5c|25)/gi, (escaped) => decodeURIComponent(escaped)) ?? null
}

/** `[datastore] folder/file` -> `datastore`; null for other paths. */
export function datastoreOf(path: string): string | null {
  return /^\[([^\]]+)\]/.exec(path)?.[1] ?? null
}

function distinct(values: (string | null)[]): string[] {
  return [...new Set(values.filter((value) => value !== null))]
}
