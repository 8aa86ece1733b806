import type { NodeCounts, TopologyPlatform } from '@ringwall/contracts'

export type NodeKind = 'platform' | 'cluster' | 'host' | 'unplaced'
/** A node of the tree. `search` selects its assets in any list of assets. */
export type TopologyNode = {
  key: string
  kind: NodeKind
  name: string
  state: string
  counts: NodeCounts
  search: Record<string, string>
  children: TopologyNode[]
}

/** Platforms with their clusters, hosts below their cluster or, without one, below the platform. */
export function buildTopology(platforms: TopologyPlatform[]): TopologyNode[] {
  return platforms.map((platform) => {
    const base = { platformId: platform.id }
    const hostNode = (host: TopologyPlatform['hosts'][number]): TopologyNode => ({
      key: host.id,
      kind: 'host',
      name: host.name,
      state: host.state,
      counts: host.counts,
      search: { ...base, hostId: host.id },
      children: [],
    })
    const clusters = platform.clusters.map(
      (cluster): TopologyNode => ({
        key: cluster.id,
        kind: 'cluster',
        name: cluster.name,
        state: 'up',
        counts: cluster.counts,
        search: { ...base, clusterId: cluster.id },
        children: platform.hosts.filter(({ clusterId }) => clusterId === cluster.id).map(hostNode),
      }),
    )
    const alone = platform.hosts.filter(({ clusterId }) => clusterId === null).map(hostNode)
    const unplaced: TopologyNode[] =
      platform.unplaced.total === 0
        ? []
        : [
            {
              key: `${platform.id}:unplaced`,
              kind: 'unplaced',
              name: '',
              state: 'unknown',
              counts: platform.unplaced,
              search: { ...base, isPlaced: 'false' },
              children: [],
            },
          ]
    return {
      key: platform.id,
      kind: 'platform',
      name: platform.name,
      state: platform.state,
      counts: platform.counts,
      search: base,
      children: [...clusters, ...alone, ...unplaced],
    }
  })
}

/** Nodes whose name contains the text, with everything above and below them; all of them for no text. */
export function filterTopology(nodes: TopologyNode[], text: string): TopologyNode[] {
  const wanted = text.trim().toLowerCase()
  if (wanted === '') return nodes
  return nodes.flatMap((node) => {
    if (node.name.toLowerCase().includes(wanted)) return [node]
    const children = filterTopology(node.children, wanted)
    return children.length === 0 ? [] : [{ ...node, children }]
  })
}

/** The path from a root to the node that a key names, or that has exactly this search; empty where there is none. */
export function pathTo(nodes: TopologyNode[], isIt: (node: TopologyNode) => boolean): TopologyNode[] {
  for (const node of nodes) {
    if (isIt(node)) return [node]
    const below = pathTo(node.children, isIt)
    if (below.length > 0) return [node, ...below]
  }
  return []
}
