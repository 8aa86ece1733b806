import type { NodeCounts } from '@ringwall/contracts'
import { type RawBuilder, sql } from 'kysely'
import type { Db } from '../../core/core.ts'

type GroupRow = {
  platform_id: string
  cluster_id: string | null
  host_id: string | null
  pool: 'physical' | 'virtual' | 'cloud'
  total: number
  templates: number
  protected: number
  powered_on: number
}
export type CountedGroup = {
  platformId: string
  clusterId: string | null
  hostId: string | null
  pool: GroupRow['pool']
  counts: NodeCounts
}

/** Counts of what is not gone, by platform, cluster, host and pool: some rows per host, however many machines there are. */
export async function countGroups(db: Db, where: RawBuilder<unknown> = sql`true`): Promise<CountedGroup[]> {
  const { rows } =
    await sql<GroupRow>`select a.platform_id, coalesce(h.cluster_id, a.cluster_id) as cluster_id, a.host_id, a.pool,
      count(*) as total, count(*) filter (where a.kind = 'template') as templates,
      count(*) filter (where a.kind <> 'template' and a.machine_id is not null) as protected,
      count(*) filter (where a.power = 'on') as powered_on
    from asset a left join platform_host h on h.id = a.host_id
    where a.gone_at is null and ${where} group by 1, 2, 3, 4`.execute(db)
  return rows.map((row) => ({
    platformId: row.platform_id,
    clusterId: row.cluster_id,
    hostId: row.host_id,
    pool: row.pool,
    counts: {
      total: row.total,
      templates: row.templates,
      protected: row.protected,
      unprotected: row.total - row.templates - row.protected,
      poweredOn: row.powered_on,
    },
  }))
}

/** The sum of the groups that `isMeant` picks. */
export function sumCounts(
  groups: CountedGroup[],
  isMeant: (group: CountedGroup) => boolean = () => true,
): NodeCounts {
  const sum: NodeCounts = { total: 0, templates: 0, protected: 0, unprotected: 0, poweredOn: 0 }
  for (const group of groups)
    if (isMeant(group))
      for (const key of Object.keys(sum) as (keyof NodeCounts)[]) sum[key] += group.counts[key]
  return sum
}
