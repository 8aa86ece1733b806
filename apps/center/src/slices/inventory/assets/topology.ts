import type { Platform, PoolSummary, TopologyPlatform } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { SliceParts } from '../../../app/slice.ts'
import type { Core } from '../../../core/core.ts'
import { countGroups, sumCounts } from '../counts.ts'

type PlatformRow = {
  id: string
  name: string
  kind: Platform['kind']
  state: Platform['state']
  labels: string[]
}
type ClusterRow = { id: string; platform_id: string; name: string }
type HostRow = {
  id: string
  platform_id: string
  name: string
  cluster_id: string | null
  state: TopologyPlatform['hosts'][number]['state']
  address: string | null
  version: string | null
  machine_id: string | null
  join_evidence: string | null
}

/** The tree of platforms, clusters and hosts, and the pools: counts only, some rows per host. */
export function createTopology({ db }: Core) {
  async function readNodes() {
    const [platforms, clusters, hosts, groups] = await Promise.all([
      sql<PlatformRow>`select id, name, kind, state, labels from platform order by lower(name), id`.execute(
        db,
      ),
      sql<ClusterRow>`select id, platform_id, name from platform_cluster where gone_at is null order by lower(name), id`.execute(
        db,
      ),
      sql<HostRow>`select id, platform_id, name, cluster_id, state, address, version, machine_id, join_evidence
        from platform_host where gone_at is null order by lower(name), id`.execute(db),
      countGroups(db),
    ])
    return {
      platforms: platforms.rows,
      clusters: Map.groupBy(clusters.rows, ({ platform_id }) => platform_id),
      hosts: Map.groupBy(hosts.rows, ({ platform_id }) => platform_id),
      groups: Map.groupBy(groups, ({ platformId }) => platformId),
    }
  }

  return {
    handlers: {
      getTopology: async () => {
        const { platforms, clusters, hosts, groups } = await readNodes()
        return {
          platforms: platforms.map((platform): TopologyPlatform => {
            const own = groups.get(platform.id) ?? []
            const byHost = Map.groupBy(own, ({ hostId }) => hostId)
            return {
              ...platform,
              counts: sumCounts(own),
              clusters: (clusters.get(platform.id) ?? []).map(({ id, name }) => ({
                id,
                name,
                counts: sumCounts(own, ({ clusterId }) => clusterId === id),
              })),
              hosts: (hosts.get(platform.id) ?? []).map((host) => ({
                id: host.id,
                name: host.name,
                clusterId: host.cluster_id,
                state: host.state,
                address: host.address,
                version: host.version,
                machineId: host.machine_id,
                machineEvidence: host.join_evidence,
                counts: sumCounts(byHost.get(host.id) ?? []),
              })),
              unplaced: sumCounts(byHost.get(null) ?? []),
            }
          }),
        }
      },
      listPools: async () => {
        const { platforms, clusters, groups } = await readNodes()
        const { rows: agentOnly } = await sql<{
          pool: PoolSummary['pool']
          count: number
        }>`select pool, count(*) as count from machine m where not exists (select 1 from asset a where a.machine_id = m.id and a.gone_at is null)
          and not exists (select 1 from platform_host h where h.machine_id = m.id and h.gone_at is null) group by pool`.execute(
          db,
        )
        return {
          pools: (['physical', 'virtual', 'cloud'] as const).map((pool): PoolSummary => {
            const ofPool = platforms.flatMap(({ id, name }) => {
              const own = (groups.get(id) ?? []).filter((group) => group.pool === pool)
              return own.length === 0
                ? []
                : [
                    {
                      id,
                      name,
                      counts: sumCounts(own),
                      clusters: (clusters.get(id) ?? []).map((cluster) => ({
                        id: cluster.id,
                        name: cluster.name,
                        counts: sumCounts(own, ({ clusterId }) => clusterId === cluster.id),
                      })),
                    },
                  ]
            })
            return {
              pool,
              counts: sumCounts([...groups.values()].flat(), (group) => group.pool === pool),
              agentOnly: agentOnly.find((row) => row.pool === pool)?.count ?? 0,
              platforms: ofPool,
            }
          }),
        }
      },
    } satisfies SliceParts['handlers'],
  }
}
