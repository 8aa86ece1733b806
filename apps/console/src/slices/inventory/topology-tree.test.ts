import type { NodeCounts, TopologyPlatform } from '@ringwall/contracts'
import { describe, expect, it } from 'vitest'
import { buildTopology, filterTopology, pathTo } from './topology-tree.ts'

const counts = (total: number): NodeCounts => ({
  total,
  templates: 0,
  protected: 0,
  unprotected: total,
  poweredOn: total,
})
const host = (id: string, clusterId: string | null): TopologyPlatform['hosts'][number] => ({
  id,
  name: `esx-${id}`,
  clusterId,
  state: 'up',
  address: null,
  version: null,
  machineId: null,
  machineEvidence: null,
  counts: counts(2),
})
const platform = {
  id: 'p',
  name: 'vCenter 上海',
  kind: 'vsphere',
  state: 'watching',
  labels: [],
  counts: counts(7),
  clusters: [{ id: 'c', name: 'Production', counts: counts(4) }],
  hosts: [host('1', 'c'), host('2', 'c'), host('3', null)],
  unplaced: counts(1),
} satisfies TopologyPlatform

describe('the topology', () => {
  const tree = buildTopology([platform])

  it('puts hosts below their cluster, others below the platform, and what runs nowhere last', () => {
    const [root] = tree
    expect(root?.children.map(({ kind, key }) => [kind, key])).toEqual([
      ['cluster', 'c'],
      ['host', '3'],
      ['unplaced', 'p:unplaced'],
    ])
    expect(root?.children[0]?.children.map(({ name }) => name)).toEqual(['esx-1', 'esx-2'])
    expect(root?.children.at(-1)?.search).toEqual({ platformId: 'p', isPlaced: 'false' })
  })

  it('finds a node by name with what is above and below it', () => {
    const [found] = filterTopology(tree, 'ESX-2')
    expect(found?.name).toBe('vCenter 上海')
    expect(found?.children[0]?.children.map(({ key }) => key)).toEqual(['2'])
    expect(filterTopology(tree, '上海')).toEqual(tree)
    expect(filterTopology(tree, 'nothing like it')).toEqual([])
  })

  it('knows the way to a node', () => {
    expect(pathTo(tree, ({ key }) => key === '2').map(({ key }) => key)).toEqual(['p', 'c', '2'])
    expect(pathTo(tree, ({ key }) => key === 'x')).toEqual([])
  })
})
