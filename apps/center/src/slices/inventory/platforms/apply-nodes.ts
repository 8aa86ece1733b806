import type { PlatformKind } from '@ringwall/contracts'
import type { ClusterRecord, HostRecord } from '@ringwall/platforms'
import { normaliseUuid } from '@ringwall/platforms'
import { unnest } from '@ringwall/postgres'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Tx } from '../../../core/core.ts'
import { clean, type Places } from './records.ts'

export type PlatformRef = { id: string; kind: PlatformKind; name: string }

/** Ids of everything that is there now. */
export async function readPlaces(
  tx: Tx,
  platformId: string,
): Promise<Places & { hostNames: Map<string, string> }> {
  const clusters = await sql<{ id: string; ref: string }>`select id, ref from platform_cluster
    where platform_id = ${platformId} and gone_at is null`.execute(tx)
  const hosts = await sql<{ id: string; ref: string; name: string }>`select id, ref, name from platform_host
    where platform_id = ${platformId} and gone_at is null`.execute(tx)
  return {
    clusters: new Map(clusters.rows.map(({ id, ref }) => [ref, id])),
    hosts: new Map(hosts.rows.map(({ id, ref }) => [ref, id])),
    hostNames: new Map(hosts.rows.map(({ id, name }) => [id, name])),
  }
}

export async function upsertClusters(tx: Tx, platformId: string, clusters: ClusterRecord[]): Promise<void> {
  const rows = [...new Map(clusters.map((cluster) => [cluster.ref, cluster])).values()].map(
    ({ ref, name }) => ({
      id: uuidv7(),
      ref,
      name: clean(name),
    }),
  )
  const { expression } = unnest(rows, { id: 'uuid', ref: 'text', name: 'text' })
  await sql`insert into platform_cluster (id, platform_id, ref, name)
    select r.id, ${platformId}::uuid, r.ref, r.name from (${expression}) as r (id, ref, name)
    on conflict (platform_id, ref) do update set name = excluded.name, gone_at = null
    where (platform_cluster.name, platform_cluster.gone_at) is distinct from (excluded.name, null)`.execute(
    tx,
  )
}

/** Answers how many were new or different. */
export async function upsertHosts(tx: Tx, platformId: string, hosts: HostRecord[]): Promise<number> {
  const rows = [...new Map(hosts.map((host) => [host.ref, host])).values()].map((host) => ({
    id: uuidv7(),
    ref: host.ref,
    name: clean(host.name),
    cluster_ref: host.clusterRef,
    address: clean(host.address),
    uuid: normaliseUuid(host.uuid),
    state: host.state,
    version: clean(host.version),
  }))
  const { expression } = unnest(rows, {
    id: 'uuid',
    ref: 'text',
    name: 'text',
    cluster_ref: 'text',
    address: 'text',
    uuid: 'text',
    state: 'text',
    version: 'text',
  })
  const values = (table: string) =>
    sql.raw(
      ['name', 'cluster_id', 'address', 'uuid', 'state', 'version', 'gone_at']
        .map((column) => `${table}.${column}`)
        .join(', '),
    )
  const { numAffectedRows = 0n } =
    await sql`insert into platform_host (id, platform_id, ref, name, cluster_id, address, uuid, state, version)
    select r.id, ${platformId}::uuid, r.ref, r.name, c.id, r.address, r.uuid, r.state, r.version
    from (${expression}) as r (id, ref, name, cluster_ref, address, uuid, state, version)
    left join platform_cluster c on c.platform_id = ${platformId} and c.ref = r.cluster_ref
    on conflict (platform_id, ref) do update set name = excluded.name, cluster_id = excluded.cluster_id, address = excluded.address,
      uuid = excluded.uuid, state = excluded.state, version = excluded.version, gone_at = null
    where (${values('platform_host')}) is distinct from (${values('excluded')})`.execute(tx)
  return Number(numAffectedRows)
}

/** After a complete list: what it does not have is gone; answers how many hosts that are. */
export async function buryNodes(
  tx: Tx,
  platformId: string,
  refs: { clusters: string[]; hosts: string[] },
): Promise<number> {
  const missing = (list: string[]) =>
    sql`gone_at is null and not exists (select 1 from unnest(${list}::text[]) as listed where listed = ref)`
  await sql`update platform_cluster set gone_at = now() where platform_id = ${platformId} and ${missing(refs.clusters)}`.execute(
    tx,
  )
  const { numAffectedRows = 0n } =
    await sql`update platform_host set gone_at = now(), machine_id = null, join_evidence = null
    where platform_id = ${platformId} and ${missing(refs.hosts)}`.execute(tx)
  return Number(numAffectedRows)
}
