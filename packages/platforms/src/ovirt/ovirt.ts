/**
 * oVirt 4 and Red Hat Virtualization, and engines of version 3.6. The engine has no push: its event log is polled, and whatever an event
 * points at is read back.
 */
import { sleep } from '@ringwall/runtime'
import { mapConcurrent } from '../concurrent.ts'
import { parseHttpsAddress, presentedFingerprint } from '../http.ts'
import type {
  Change,
  Connector,
  ConnectorDefinition,
  ConnectorOptions,
  Inventory,
  MachineRecord,
  PlatformIdentity,
} from '../types.ts'
import { childrenOf, textOf, type XmlElement } from '../xml.ts'
import { concurrentReads, createOvirtClient, defaultPort, type OvirtClient } from './client.ts'
import { type EventBatch, type EventCursor, openEventCursor } from './events.ts'
import {
  clusterOf,
  hostOf,
  idOf,
  isBlankTemplate,
  machineOf,
  nicsInside,
  statusOf,
  templateOf,
} from './records.ts'

const pollMs = 2_000
/** More machines than this in one batch of events: a whole list is cheaper. */
const maxReadBacks = 500

type Names = { templateNames: Map<string, string>; storageNames: Map<string, string> }
type Known = Names & {
  events: EventCursor
  hosts: Set<string>
  machines: Set<string>
  /** Machines under migration: read at every poll until they have arrived. */
  migrating: Set<string>
  templates: Set<string>
  clusters: Set<string>
}
type Machine = { record: MachineRecord; isMigrating: boolean }

export const ovirt: ConnectorDefinition = {
  kind: 'ovirt',
  capabilities: {
    changes: 'poll',
    lineage: 'native',
    templates: true,
    guestAddresses: true,
    credentialKinds: ['password'],
    verified: 'recording',
    addressExample: 'engine.example.com',
  },
  validateAddress: (address) => void parseHttpsAddress(address, defaultPort),
  fingerprint: (address, signal) => {
    const { host, port } = parseHttpsAddress(address, defaultPort)
    return presentedFingerprint(host, port, signal)
  },
  open: (options) => createOvirtConnector(options),
}

function createOvirtConnector(options: ConnectorOptions): Connector {
  const client = createOvirtClient(options)
  let known: Known | undefined

  async function list(signal: AbortSignal, onProgress?: (objects: number) => void): Promise<Inventory> {
    // Before anything is read: what happens meanwhile is read back by `watch`.
    const events = await openEventCursor(client, signal)
    const clusters = await client.readAll('clusters', 'cluster', clusterOf, signal)
    const { items: hosts } = await client.readAll('hosts', 'host', hostOf, signal)
    await addOverlooked(hosts, known?.hosts ?? [], signal, async (id) => {
      const host = await client.readUnless([404], `/hosts/${encodeURIComponent(id)}`, signal)
      return host && hostOf(host)
    })
    const templates = await readTemplates(client, known?.templates, signal)
    const templateNames = new Map([...templates].map(([id, { name }]) => [id, name]))
    const names = { templateNames, storageNames: await readStorageNames(client, signal) }
    const machines = await readMachines(
      client,
      { events, names, expected: known?.machines },
      signal,
      onProgress,
    )
    known = {
      ...names,
      events,
      hosts: new Set(hosts.keys()),
      machines: new Set(machines.keys()),
      migrating: new Set([...machines].flatMap(([id, { isMigrating }]) => (isMigrating ? [id] : []))),
      templates: new Set(templates.keys()),
      clusters: new Set(clusters.items.keys()),
    }
    return {
      clusters: [...clusters.items.values()],
      hosts: [...hosts.values()],
      machines: [...[...machines.values()].map(({ record }) => record), ...templates.values()],
    }
  }

  async function* watch(signal: AbortSignal): AsyncIterable<Change[]> {
    if (known === undefined) {
      await list(signal)
      yield [{ type: 'resync', reason: 'nothing was listed before' }]
    }
    for (;;) {
      await sleep(pollMs, signal)
      if (known !== undefined) yield await poll(client, known, signal)
    }
  }

  return {
    check: async (signal) => check(client, signal),
    list,
    watch,
    close: () => client.close(),
  }
}

/**
 * All machines. Pages are counted by the engine at the moment of each, so a machine that is removed meanwhile pushes another one over the
 * edge between two pages: known machines that are missing are asked for by id, and a first list during which something happened reads the
 * pages again.
 */
async function readMachines(
  client: OvirtClient,
  { events, names, expected }: { events: EventCursor; names: Names; expected: Set<string> | undefined },
  signal: AbortSignal,
  onProgress?: (objects: number) => void,
): Promise<Map<string, Machine>> {
  const convert = (element: XmlElement) => readMachine(client, element, names, signal)
  let { items, repeated, pages } = await client.readAll('vms', 'vm', convert, signal, onProgress)
  const missing = new Set([...(expected ?? []), ...repeated])
  if (expected === undefined && pages > 1 && (await events.hasMoved(signal))) {
    for (const id of items.keys()) missing.add(id)
    ;({ items, repeated } = await client.readAll('vms', 'vm', convert, signal))
    for (const id of repeated) missing.add(id)
  }
  // One machine in two places of the list: only asking for it tells where it is.
  for (const id of repeated) items.delete(id)
  await addOverlooked(items, missing, signal, async (id) => {
    const element = await client.readMachine(id, signal)
    return element && convert(element)
  })
  return items
}

async function readTemplates(
  client: OvirtClient,
  expected: Set<string> | undefined,
  signal: AbortSignal,
): Promise<Map<string, MachineRecord>> {
  const { items } = await client.readAll('templates', 'template', (element) => element, signal)
  await addOverlooked(items, expected ?? [], signal, (id) => readTemplate(client, id, signal))
  const names = new Map([...items].map(([id, template]) => [id, textOf(template, 'name') ?? id]))
  const templates = [...items].filter(([, template]) => !isBlankTemplate(template))
  return new Map(templates.map(([id, template]) => [id, templateOf(template, names)]))
}

/** Reads what was expected and not found one by one; what then does not exist is gone for sure. */
async function addOverlooked<T>(
  items: Map<string, T>,
  expected: Iterable<string>,
  signal: AbortSignal,
  read: (id: string) => Promise<T | undefined>,
): Promise<void> {
  const missing = [...expected].filter((id) => !items.has(id))
  await mapConcurrent(missing, concurrentReads, signal, async (id) => {
    const item = await read(id)
    if (item !== undefined) items.set(id, item)
  })
}

const readTemplate = (client: OvirtClient, id: string, signal: AbortSignal) =>
  client.readUnless([404], `/templates/${encodeURIComponent(id)}`, signal)

/** Names of storage domains by id; ids stand for themselves where the account may not see them. */
async function readStorageNames(client: OvirtClient, signal: AbortSignal): Promise<Map<string, string>> {
  const root = await client.readUnless([403, 404], '/storagedomains', signal)
  const domains = childrenOf(root, 'storage_domain')
  return new Map(domains.map((domain) => [idOf(domain), textOf(domain, 'name') ?? idOf(domain)]))
}

/** The record of a machine; engines that do not follow links are asked for its network cards. */
async function readMachine(
  client: OvirtClient,
  element: XmlElement,
  names: Names,
  signal: AbortSignal,
): Promise<Machine> {
  const path = `/vms/${encodeURIComponent(idOf(element))}/nics`
  const nics = nicsInside(element) ?? childrenOf(await client.readUnless([404], path, signal), 'nic')
  return { record: machineOf(element, { ...names, nics }), isMigrating: statusOf(element) === 'migrating' }
}

async function poll(client: OvirtClient, state: Known, signal: AbortSignal): Promise<Change[]> {
  const batch = await state.events.next(signal)
  // The end of a migration may be told before it can be read, or in an event without a link.
  for (const id of state.migrating) batch.vms.add(id)
  if (batch.isOverflow || batch.vms.size > maxReadBacks)
    return [{ type: 'resync', reason: 'more happened than can be read back one by one' }]
  const changes: Change[] = await readBackMachines(client, state, batch, signal)
  for (const id of batch.hosts) {
    const host = await client.readUnless([404], `/hosts/${encodeURIComponent(id)}`, signal)
    changes.push(host === undefined ? { type: 'gone', ref: id } : { type: 'host', host: hostOf(host) })
  }
  for (const id of batch.templates) changes.push(...(await readBackTemplate(client, state, id, signal)))
  if ([...batch.clusters].some((id) => !state.clusters.has(id)))
    changes.push({ type: 'resync', reason: 'a cluster is new' })
  return changes
}

async function readBackMachines(
  client: OvirtClient,
  state: Known,
  batch: EventBatch,
  signal: AbortSignal,
): Promise<Change[]> {
  const changes = await mapConcurrent(
    [...batch.vms],
    concurrentReads,
    signal,
    async (id): Promise<Change[]> => {
      const element = await client.readMachine(id, signal)
      state.migrating.delete(id)
      if (element === undefined) return state.machines.delete(id) ? [{ type: 'gone', ref: id }] : []
      const { record, isMigrating } = await readMachine(client, element, state, signal)
      state.machines.add(id)
      if (isMigrating) state.migrating.add(id)
      const parent = record.parent?.ref
      if (parent && !state.templateNames.has(parent)) batch.templates.add(parent)
      return [{ type: 'machine', machine: record, at: null }]
    },
  )
  return changes.flat()
}

async function readBackTemplate(
  client: OvirtClient,
  state: Known,
  id: string,
  signal: AbortSignal,
): Promise<Change[]> {
  const template = await readTemplate(client, id, signal)
  if (template === undefined) return state.templates.has(id) ? [{ type: 'gone', ref: id }] : []
  state.templateNames.set(id, textOf(template, 'name') ?? id)
  if (isBlankTemplate(template)) return []
  state.templates.add(id)
  return [{ type: 'machine', machine: templateOf(template, state.templateNames), at: null }]
}

async function check(client: OvirtClient, signal: AbortSignal): Promise<PlatformIdentity> {
  const api = await client.read('', signal)
  const info = api.children.find(({ name }) => name === 'product_info')
  const version = info?.children.find(({ name }) => name === 'version')
  const parts = ['major', 'minor', 'build'].map((part) => version?.attributes[part] ?? textOf(version, part))
  const full = textOf(info, 'full_version') ?? textOf(version, 'full_version')
  const warnings: PlatformIdentity['warnings'] = []
  const hosts = await client.readUnless([403, 404], '/hosts?max=1', signal)
  if (childrenOf(hosts, 'host').length === 0)
    warnings.push({ code: 'hosts_hidden', params: { role: 'ReadOnlyAdmin' } })
  return {
    product: textOf(info, 'name') ?? 'oVirt',
    version: full ?? parts.filter((part) => part !== null).join('.'),
    // The API names no id of an installation.
    instanceId: null,
    warnings,
  }
}
