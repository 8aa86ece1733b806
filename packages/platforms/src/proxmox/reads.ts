/** What the connector reads of a cluster besides its resources. */
import { AppError } from '@ringwall/contracts'
import { mapConcurrent } from '../concurrent.ts'
import { normaliseMac } from '../normalise.ts'
import type { ConnectorOptions, HostRecord } from '../types.ts'
import type { ProxmoxClient } from './client.ts'
import { fixedAddressesOf, type GuestConfig, hasAgent, macsOf } from './config.ts'
import { clusterRef, hostOf } from './records.ts'
import {
  agentInterfacesSchema,
  containerInterfacesSchema,
  permissionsSchema,
  statusSchema,
  type TaskRow,
  tasksSchema,
  versionSchema,
} from './schemas.ts'

export const concurrentReads = 8
/** What a node says of a guest that it does not have (any more), and its proxy of a node that it cannot reach. */
export const notThere = [404, 500, 595, 596]
/** No agent in the guest, none running, or no right to ask it: addresses stay unknown. */
const noAgent = [403, 404, 500, 501, 595, 596]
/** Not in this version, or not for this account. */
export const optional = [403, 404, 501]

/** Nodes by name, and the cluster when they form one. */
export async function readHosts(client: ProxmoxClient, signal: AbortSignal) {
  const status = await client.read('/cluster/status', statusSchema, signal)
  const cluster = status.find(({ type }) => type === 'cluster')
  const nodes = status.filter(({ type, name }) => type === 'node' && name !== undefined)
  const hosts = await mapConcurrent(nodes, concurrentReads, signal, async ({ name = '', ip, online }) => {
    const isOnline = online === true
    const path = `/nodes/${encodeURIComponent(name)}/version`
    const version = isOnline
      ? await client.readUnless([...optional, ...notThere], path, versionSchema, signal)
      : undefined
    const facts = {
      isOnline,
      address: ip ?? null,
      version: version?.version ?? null,
      hasCluster: cluster !== undefined,
    }
    return hostOf(name, facts)
  })
  return {
    hosts: new Map(hosts.map((host) => [host.name, host])),
    clusters: cluster === undefined ? [] : [{ ref: clusterRef, name: cluster.name ?? clusterRef }],
  }
}

/** Clone tasks that the nodes still remember; without Sys.Audit only the account's own, and lineage knows less. */
export async function readCloneTasks(
  client: ProxmoxClient,
  hosts: Map<string, HostRecord>,
  signal: AbortSignal,
): Promise<TaskRow[]> {
  const online = [...hosts.values()].filter(({ state }) => state === 'up')
  const lists = await mapConcurrent(online, concurrentReads, signal, ({ name }) => {
    const path = `/nodes/${encodeURIComponent(name)}/tasks?typefilter=qmclone&limit=1000`
    return client.readUnless([...optional, ...notThere], path, tasksSchema, signal)
  })
  return lists.flatMap((tasks) => tasks ?? []).filter(({ type }) => type === 'qmclone')
}

/** Addresses that the guest reports for its own network cards; bridges of containers inside it stay out. */
export async function readAddresses(
  client: ProxmoxClient,
  path: string,
  type: string,
  isRunning: boolean,
  config: GuestConfig,
  signal: AbortSignal,
): Promise<string[]> {
  const macs = new Set(macsOf(config))
  const isOwn = (mac: string | undefined) => macs.has(normaliseMac(mac) ?? '')
  if (type === 'lxc') {
    const interfaces = isRunning
      ? await client.readUnless(noAgent, `${path}/interfaces`, containerInterfacesSchema, signal)
      : null
    const reported = (interfaces ?? [])
      .filter(({ hwaddr }) => isOwn(hwaddr))
      .flatMap(({ inet, inet6 }) => [inet, inet6])
      .flatMap((address) => address?.split('/')[0] ?? [])
    return [...new Set([...fixedAddressesOf(config), ...reported])]
  }
  if (!isRunning || !hasAgent(config)) return []
  const answer = await client.readUnless(
    noAgent,
    `${path}/agent/network-get-interfaces`,
    agentInterfacesSchema,
    signal,
  )
  const reported = (answer?.result ?? [])
    .filter((nic) => isOwn(nic['hardware-address']))
    .flatMap((nic) => (nic['ip-addresses'] ?? []).map((address) => address['ip-address']))
  return [...new Set(reported)]
}

/** Names of all privileges that the account has anywhere; undefined where Proxmox does not tell. */
export async function privilegesOf(
  client: ProxmoxClient,
  signal: AbortSignal,
): Promise<Set<string> | undefined> {
  const permissions = await client.readUnless(optional, '/access/permissions', permissionsSchema, signal)
  return permissions && new Set(Object.values(permissions).flatMap((privileges) => Object.keys(privileges)))
}

/** Proxmox leaves out what the account may not see: an account that lost its role would see every guest vanish. */
export async function requireGuestRights(
  client: ProxmoxClient,
  options: ConnectorOptions,
  signal: AbortSignal,
): Promise<void> {
  const privileges = await privilegesOf(client, signal)
  if (privileges === undefined || privileges.has('VM.Audit')) return
  const { credentials, address } = options
  const account =
    credentials.kind === 'token' ? credentials.tokenId : 'username' in credentials ? credentials.username : ''
  throw new AppError('platform_permission', { account, what: 'guests (VM.Audit)', address })
}
