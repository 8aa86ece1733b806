import type { Change, Inventory, MachineRecord } from '@ringwall/platforms'
import { type Kysely, sql } from 'kysely'
import type { Machines, Tx } from '../../../core/core.ts'
import { type AppliedMachines, applyMachines, buryMachines } from './apply-machines.ts'
import { buryNodes, type PlatformRef, readPlaces, upsertClusters, upsertHosts } from './apply-nodes.ts'
import { mergeDuplicates } from './records.ts'

export type Applied = AppliedMachines & {
  gone: number
  hostsChanged: number
  /** A change names a host that no list had yet. */
  hasUnknownHost: boolean
}

const chunkSize = 1000
/** A time that a platform tells is taken for true when it is at most this old; its clock may be any. */
const maxAgeMs = 3_600_000

/** Any number that no one else locks: joins are written while no list is, as both touch many rows. */
const lockKey = 7_264_951_003

export async function lockAssets(tx: Tx, mode: 'shared' | 'exclusive'): Promise<void> {
  if (mode === 'shared') await sql`select pg_advisory_xact_lock_shared(${lockKey})`.execute(tx)
  else await sql`select pg_advisory_xact_lock(${lockKey})`.execute(tx)
}

async function knownHostRefs(tx: Tx, platformId: string, refs: string[]): Promise<Map<string, string>> {
  if (refs.length === 0) return new Map()
  const { rows } = await sql<{ ref: string; host_ref: string }>`select a.ref, h.ref as host_ref from asset a
    join platform_host h on h.id = a.host_id where a.platform_id = ${platformId} and a.ref = any(${refs}::text[])`.execute(
    tx,
  )
  return new Map(rows.map((row) => [row.ref, row.host_ref]))
}

function refsTwice(machines: MachineRecord[]): string[] {
  const seen = new Set<string>()
  return machines.flatMap(({ ref }) => (seen.size === seen.add(ref).size ? [ref] : []))
}

function add(total: Applied, part: AppliedMachines): void {
  total.added += part.added
  total.changed += part.changed
  total.isIdentityChanged ||= part.isIdentityChanged
  total.migratedMachineIds.push(...part.migratedMachineIds)
  total.changedMachineIds.push(...part.changedMachineIds)
}

const nothing = (): Applied => ({
  added: 0,
  changed: 0,
  gone: 0,
  hostsChanged: 0,
  hasUnknownHost: false,
  isIdentityChanged: false,
  migratedMachineIds: [],
  changedMachineIds: [],
})

/** Takes in a complete list in one transaction: all of it, or nothing. Only here things become gone. */
export async function applyInventory(
  { db, machines }: { db: Kysely<unknown>; machines: Machines },
  platform: PlatformRef,
  inventory: Inventory,
  at: Date,
): Promise<Applied> {
  return await db.transaction().execute(async (tx) => {
    await lockAssets(tx, 'shared')
    const total = nothing()
    await upsertClusters(tx, platform.id, inventory.clusters)
    total.hostsChanged = await upsertHosts(tx, platform.id, inventory.hosts)
    const refsOf = (nodes: { ref: string }[]) => nodes.map(({ ref }) => ref)
    total.hostsChanged += await buryNodes(tx, platform.id, {
      clusters: refsOf(inventory.clusters),
      hosts: refsOf(inventory.hosts),
    })
    const places = await readPlaces(tx, platform.id)
    const known = await knownHostRefs(tx, platform.id, refsTwice(inventory.machines))
    const records = mergeDuplicates(inventory.machines, (ref) => known.get(ref))
    for (let start = 0; start < records.length; start += chunkSize)
      add(
        total,
        await applyMachines(tx, { platform, machines, places, at }, records.slice(start, start + chunkSize)),
      )
    total.gone = await buryMachines(tx, platform.id, refsOf(records), at)
    if (total.gone > 0 || total.hostsChanged > 0) total.isIdentityChanged = true
    return total
  })
}

/** Takes in a batch of changes in one transaction; of several records of one machine the last one counts. `gone` and `resync` are not for here. */
export async function applyChanges(
  { db, machines }: { db: Kysely<unknown>; machines: Machines },
  platform: PlatformRef,
  changes: Change[],
  at: Date,
): Promise<Applied> {
  const hosts = changes.flatMap((change) => (change.type === 'host' ? [change.host] : []))
  const latest = new Map(
    changes.flatMap((change) => (change.type === 'machine' ? [[change.machine.ref, change] as const] : [])),
  )
  return await db.transaction().execute(async (tx) => {
    await lockAssets(tx, 'shared')
    const total = nothing()
    if (hosts.length > 0) total.hostsChanged = await upsertHosts(tx, platform.id, hosts)
    const records = [...latest.values()]
      .map(({ machine }) => machine)
      .sort((a, b) => (a.ref < b.ref ? -1 : 1))
    const timeOf = (ref: string) => {
      const told = latest.get(ref)?.at ?? null
      const ageMs = told === null ? -1 : at.getTime() - told.getTime()
      return told !== null && ageMs >= 0 && ageMs <= maxAgeMs ? told : undefined
    }
    const places = await readPlaces(tx, platform.id)
    add(total, await applyMachines(tx, { platform, machines, places, at, timeOf }, records))
    total.hasUnknownHost = records.some(({ hostRef }) => hostRef !== null && !places.hosts.has(hostRef))
    if (total.hostsChanged > 0) total.isIdentityChanged = true
    return total
  })
}
