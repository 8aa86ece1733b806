import type { Asset, Machine } from '@ringwall/contracts'
import { type RawBuilder, sql } from 'kysely'
import { likePattern } from '../../../store/paging.ts'
import { protectionOf } from '../machine-rows.ts'
import type { AssetValues } from '../platforms/records.ts'

export type AssetRow = AssetValues & {
  id: string
  platform_id: string
  platform_name: string
  platform_kind: Asset['platform']['kind']
  host_name: string | null
  migrating_to_name: string | null
  shown_cluster_id: string | null
  cluster_name: string | null
  parent_id: string | null
  labels: string[]
  first_seen_at: Date
  seen_at: Date
  seen_ms: number
  first_seen_ms: number
  gone_at: Date | null
  machine_id: string | null
  machine_hostname: string | null
  machine_protection: Machine['protection'] | null
  join_evidence: string | null
  open_issues: number
}

/** What a complete list had was seen then; rows are not written again for that. */
export const seenAt = sql`case when a.gone_at is null then greatest(a.last_seen_at, pl.last_list_at) else a.last_seen_at end`
const openIssues = sql`(select count(*) from inventory_issue i where i.asset_ids @> array[a.id] and i.state = 'open')`
const clusterId = sql`coalesce(h.cluster_id, a.cluster_id)`
/** In milliseconds, for cursors. */
export const seenMs = sql`floor(extract(epoch from ${seenAt}) * 1000)::bigint`
export const firstSeenMs = sql`floor(extract(epoch from a.first_seen_at) * 1000)::bigint`

/** The alias `p` is the peer of the machine, as `protectionOf` wants it. */
export const assetSource = sql`asset a join platform pl on pl.id = a.platform_id left join platform_host h on h.id = a.host_id
  left join machine m on m.id = a.machine_id left join peer p on p.id = m.id`
export const assetColumns = sql`a.*, pl.name as platform_name, pl.kind as platform_kind, h.name as host_name,
  (select name from platform_host where id = a.migrating_to_id) as migrating_to_name, ${clusterId} as shown_cluster_id,
  (select name from platform_cluster where id = ${clusterId}) as cluster_name,
  (select id from asset b where b.platform_id = a.platform_id and b.ref = a.parent_ref) as parent_id,
  ${seenAt} as seen_at, ${seenMs} as seen_ms, ${firstSeenMs} as first_seen_ms, m.hostname as machine_hostname,
  case when m.id is not null then ${protectionOf} end as machine_protection, ${openIssues} as open_issues`

const node = (id: string | null, name: string | null) => (id === null ? null : { id, name: name ?? '' })

export function toAsset(row: AssetRow): Asset {
  return {
    id: row.id,
    platform: { id: row.platform_id, name: row.platform_name, kind: row.platform_kind },
    ref: row.ref,
    kind: row.kind,
    pool: row.pool,
    name: row.name,
    host: node(row.host_id, row.host_name),
    migratingTo: node(row.migrating_to_id, row.migrating_to_name),
    cluster: node(row.shown_cluster_id, row.cluster_name),
    power: row.power,
    uuid: row.uuid,
    macs: row.macs,
    addresses: row.addresses,
    guestOs: row.guest_os,
    osFamily: row.os_family,
    datastores: row.datastores,
    parent:
      row.parent_kind === null
        ? null
        : {
            assetId: row.parent_id,
            name: row.parent_name,
            kind: row.parent_kind as NonNullable<Asset['parent']>['kind'],
            evidence: row.parent_evidence ?? '',
          },
    labels: row.labels,
    firstSeenAt: row.first_seen_at.toISOString(),
    lastSeenAt: row.seen_at.toISOString(),
    goneAt: row.gone_at?.toISOString() ?? null,
    machine:
      row.machine_id === null || row.machine_protection === null
        ? null
        : {
            id: row.machine_id,
            hostname: row.machine_hostname ?? '',
            protection: row.machine_protection,
            evidence: row.join_evidence ?? '',
          },
    openIssues: row.open_issues,
  }
}

export type AssetFilter = {
  [K in 'search' | 'platformId' | 'clusterId' | 'hostId' | 'kind' | 'pool' | 'power' | 'osFamily' | 'label']?:
    | string
    | undefined
} & { [K in 'isPlaced' | 'isProtected' | 'hasIssue' | 'isGone']?: 'true' | 'false' | undefined }

const columnFilters = {
  platformId: 'a.platform_id',
  hostId: 'a.host_id',
  kind: 'a.kind',
  pool: 'a.pool',
  power: 'a.power',
  osFamily: 'a.os_family',
} as const

/** Conditions of a filter; gone assets only when asked for. */
export function assetWhere(filter: AssetFilter): RawBuilder<unknown>[] {
  const where = [filter.isGone === 'true' ? sql`a.gone_at is not null` : sql`a.gone_at is null`]
  for (const [name, column] of Object.entries(columnFilters) as [keyof typeof columnFilters, string][])
    if (filter[name] !== undefined) where.push(sql`${sql.ref(column)} = ${filter[name]}`)
  if (filter.clusterId !== undefined) where.push(sql`${clusterId} = ${filter.clusterId}`)
  if (filter.label !== undefined) where.push(sql`${filter.label} = any(a.labels)`)
  if (filter.isPlaced !== undefined) where.push(sql`(a.host_id is not null) = ${filter.isPlaced === 'true'}`)
  if (filter.isProtected === 'true') where.push(sql`a.machine_id is not null`)
  if (filter.isProtected === 'false') where.push(sql`a.machine_id is null and a.kind <> 'template'`)
  if (filter.hasIssue !== undefined) where.push(sql`(${openIssues} > 0) = ${filter.hasIssue === 'true'}`)
  if (filter.search) {
    const pattern = likePattern(filter.search)
    where.push(sql`(a.name ilike ${pattern} or a.ref ilike ${pattern} or a.uuid ilike ${pattern} or a.guest_os ilike ${pattern} or h.name ilike ${pattern}
      or array_to_string(a.macs || a.addresses || a.labels, ' ') ilike ${pattern})`)
  }
  return where
}
