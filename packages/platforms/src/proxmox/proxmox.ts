/**
 * Proxmox VE 7 to 9. `/cluster/resources` answers for the whole cluster in one request, so it is polled; a guest whose row changed is read
 * back. Machines (qemu) and containers (lxc) are both guests here.
 */
import { AppError } from '@ringwall/contracts'
import { sleep } from '@ringwall/runtime'
import { mapConcurrent } from '../concurrent.ts'
import { parseHttpsAddress, presentedFingerprint } from '../http.ts'
import type {
  Change,
  Connector,
  ConnectorDefinition,
  ConnectorOptions,
  HostRecord,
  Inventory,
  PlatformIdentity,
} from '../types.ts'
import { createProxmoxClient, defaultPort, type ProxmoxClient } from './client.ts'
import type { GuestConfig } from './config.ts'
import {
  concurrentReads,
  notThere,
  optional,
  privilegesOf,
  readAddresses,
  readCloneTasks,
  readHosts,
  requireGuestRights,
} from './reads.ts'
import { createLineage, fingerprintOfRow, type Guest, guestsOf, machineOf } from './records.ts'
import {
  certificatesSchema,
  configSchema,
  type ResourceRow,
  resourcesSchema,
  statusSchema,
  type TaskRow,
  tasksSchema,
  versionSchema,
} from './schemas.ts'

const pollMs = 2_000
/** Guests move while they are listed; a list that finds one elsewhere this often gives up. */
const listTries = 3
/** A guest that this many polls in a row do not show may be gone. */
const pollsUntilGone = 2

type KnownGuest = {
  guest: Guest
  config: GuestConfig
  addresses: string[]
  mark: string
  missedPolls: number
}
type Known = {
  guests: Map<string, KnownGuest>
  hosts: Map<string, HostRecord>
  tasks: TaskRow[]
  hasCluster: boolean
}

/** A guest was not where the list had it: it moved or went away meanwhile. */
class GuestNotThere extends Error {}

export const proxmox: ConnectorDefinition = {
  kind: 'proxmox',
  capabilities: {
    changes: 'poll',
    lineage: 'derived',
    templates: true,
    guestAddresses: true,
    credentialKinds: ['token', 'password'],
    verified: 'recording',
    addressExample: 'pve.example.com:8006',
  },
  validateAddress: (address) => void parseHttpsAddress(address, defaultPort),
  fingerprint: (address, signal) => {
    const { host, port } = parseHttpsAddress(address, defaultPort)
    return presentedFingerprint(host, port, signal)
  },
  open: (options) => createProxmoxConnector(options),
}

function createProxmoxConnector(options: ConnectorOptions): Connector {
  const client = createProxmoxClient(options)
  let known: Known | undefined

  async function list(signal: AbortSignal, onProgress?: (objects: number) => void): Promise<Inventory> {
    await requireGuestRights(client, options, signal)
    const { hosts, clusters } = await readHosts(client, signal)
    const hasCluster = clusters.length > 0
    const tasks = await readCloneTasks(client, hosts, signal)
    for (let attempt = 1; ; attempt += 1) {
      const rows = await readRowsTwiceIfMissing(signal)
      try {
        const guests = await readGuests(guestsFrom(rows), hosts, signal, onProgress)
        known = { guests: new Map(guests.map((read) => [read.guest.row.id, read])), hosts, tasks, hasCluster }
        return { clusters, hosts: [...hosts.values()], machines: machinesOf(known, guests) }
      } catch (error) {
        if (!(error instanceof GuestNotThere)) throw error
        const { host, port } = parseHttpsAddress(options.address, defaultPort)
        if (attempt >= listTries)
          throw new AppError('platform_answer_invalid', {
            address: `${host}:${port}`,
            request: `GET ${error.message}`,
            reason: 'the guest is listed but its node does not have it',
          })
      }
      await sleep(pollMs / 2, signal)
    }
  }

  const readRows = (signal: AbortSignal) => client.read('/cluster/resources', resourcesSchema, signal)
  const guestsFrom = (rows: ResourceRow[]) => guestsOf(rows, (id) => known?.guests.get(id)?.guest.row.node)

  /** Between the source's report and the destination's a guest may be on no node: what is missing is looked for once more. */
  async function readRowsTwiceIfMissing(signal: AbortSignal): Promise<ResourceRow[]> {
    const rows = await readRows(signal)
    const ids = new Set(rows.map(({ id }) => id))
    if ([...(known?.guests.keys() ?? [])].every((id) => ids.has(id))) return rows
    await sleep(pollMs, signal)
    return readRows(signal)
  }

  async function readGuests(
    guests: Map<string, Guest>,
    hosts: Map<string, HostRecord>,
    signal: AbortSignal,
    onProgress?: (objects: number) => void,
  ): Promise<KnownGuest[]> {
    let objects = 0
    return mapConcurrent([...guests.values()], concurrentReads, signal, async (guest) => {
      const read = await readGuest(guest, hosts, signal)
      objects += 1
      onProgress?.(objects)
      return read
    })
  }

  async function readGuest(
    guest: Guest,
    hosts: Map<string, HostRecord>,
    signal: AbortSignal,
  ): Promise<KnownGuest> {
    const { row } = guest
    const mark = fingerprintOfRow(guest)
    const before = known?.guests.get(row.id)
    // A node that is down cannot be asked; its guests stay what they were.
    if (hosts.get(row.node)?.state !== 'up')
      return { guest, mark, config: before?.config ?? {}, addresses: before?.addresses ?? [], missedPolls: 0 }
    const path = `/nodes/${encodeURIComponent(row.node)}/${row.type}/${row.vmid}`
    const config = await client.readUnless(notThere, `${path}/config`, configSchema, signal)
    if (config === undefined) throw new GuestNotThere(`${path}/config`)
    const addresses = await readAddresses(client, path, row.type, row.status === 'running', config, signal)
    return { guest, mark, config, addresses, missedPolls: 0 }
  }

  async function* watch(signal: AbortSignal): AsyncIterable<Change[]> {
    if (known === undefined) {
      await list(signal)
      yield [{ type: 'resync', reason: 'nothing was listed before' }]
    }
    for (;;) {
      await sleep(pollMs, signal)
      yield await poll(signal)
    }
  }

  async function poll(signal: AbortSignal): Promise<Change[]> {
    if (known === undefined) return []
    const state = known
    const rows = await readRows(signal)
    const guests = guestsFrom(rows)
    const changes: Change[] = hostChanges(state, rows)
    const changed = [...guests.values()].filter((guest) => {
      const before = state.guests.get(guest.row.id)
      if (before !== undefined) before.missedPolls = 0
      return before?.mark !== fingerprintOfRow(guest)
    })
    if (changed.some(({ row }) => !state.guests.has(row.id))) {
      const recent = await client.readUnless(optional, '/cluster/tasks', tasksSchema, signal)
      const seen = new Set(state.tasks.map(({ upid }) => upid))
      state.tasks.push(...(recent ?? []).filter(({ type, upid }) => type === 'qmclone' && !seen.has(upid)))
    }
    const reads = await mapConcurrent(changed, concurrentReads, signal, (guest) =>
      readGuest(guest, state.hosts, signal).catch((error) => {
        // It moved on: the next poll shows where to.
        if (error instanceof GuestNotThere) return undefined
        throw error
      }),
    )
    const read = reads.filter((one) => one !== undefined)
    for (const one of read) state.guests.set(one.guest.row.id, one)
    for (const machine of machinesOf(state, read)) changes.push({ type: 'machine', machine, at: null })
    for (const [id, guest] of state.guests) {
      if (guests.has(id)) continue
      guest.missedPolls += 1
      if (guest.missedPolls === pollsUntilGone) changes.push({ type: 'gone', ref: id })
    }
    return changes
  }

  return {
    check: (signal) => check(client, signal),
    list,
    watch,
    close: async () => client.close(),
  }
}

function machinesOf(state: Known, guests: KnownGuest[]) {
  if (guests.length === 0) return []
  const facts = [...state.guests.values()].map(({ guest, config }) => ({ row: guest.row, config }))
  const lineage = createLineage(facts, state.tasks)
  return guests.map(({ guest, config, addresses }) =>
    machineOf(guest, {
      config,
      addresses,
      parent: lineage({ row: guest.row, config }),
      hasCluster: state.hasCluster,
    }),
  )
}

function hostChanges(state: Known, rows: ResourceRow[]): Change[] {
  return rows.flatMap((row): Change[] => {
    if (row.type !== 'node' || row.node === undefined) return []
    const before = state.hosts.get(row.node)
    const isOnline = row.status === 'online'
    if (before === undefined) return [{ type: 'resync', reason: `node ${row.node} is new` }]
    if ((before.state === 'up') === isOnline) return []
    const host: HostRecord = { ...before, state: isOnline ? 'up' : 'down' }
    state.hosts.set(row.node, host)
    return [{ type: 'host', host }]
  })
}

async function check(client: ProxmoxClient, signal: AbortSignal): Promise<PlatformIdentity> {
  const { version } = await client.read('/version', versionSchema, signal)
  const privileges = await privilegesOf(client, signal)
  const status = await client.read('/cluster/status', statusSchema, signal)
  const warnings: PlatformIdentity['warnings'] = []
  if (privileges !== undefined) {
    const lacks = (...names: string[]) => !names.some((name) => privileges.has(name))
    if (lacks('VM.Audit')) warnings.push({ code: 'guests_hidden', params: { privilege: 'VM.Audit' } })
    if (lacks('Sys.Audit')) warnings.push({ code: 'clone_tasks_hidden', params: { privilege: 'Sys.Audit' } })
    // Until version 8 the agent was asked with VM.Monitor.
    if (lacks('VM.GuestAgent.Audit', 'VM.GuestAgent.Unrestricted', 'VM.Monitor'))
      warnings.push({ code: 'guest_addresses_hidden', params: { privilege: 'VM.GuestAgent.Audit' } })
  }
  const node = status.find(({ type }) => type === 'node')?.name ?? 'localhost'
  const path = `/nodes/${encodeURIComponent(node)}/certificates/info`
  const certificates = await client.readUnless([...optional, ...notThere], path, certificatesSchema, signal)
  // The CA belongs to the whole cluster, whichever node answers.
  const ca = certificates?.find(({ filename }) => filename === 'pve-root-ca.pem')
  return { product: 'Proxmox VE', version, instanceId: ca?.fingerprint ?? null, warnings }
}
