import { ApartmentOutlined, ClusterOutlined, HddOutlined, QuestionCircleOutlined } from '@ant-design/icons'
import type { Asset } from '@ringwall/contracts'
import { createLazyRoute, useNavigate } from '@tanstack/react-router'
import { Badge, Button, Card, Input, Tree } from 'antd'
import { type Key, memo, useDeferredValue, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { useFilters } from '../../app/use-filters.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { SearchFilter } from '../../ui/filters.tsx'
import { formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { EmptyState, Loaded } from '../../ui/states.tsx'
import { useAssetColumns } from './asset-columns.tsx'
import { CountsBar } from './counts.tsx'
import { buildTopology, filterTopology, pathTo, type TopologyNode } from './topology-tree.ts'

const icons = {
  platform: <ApartmentOutlined />,
  cluster: <ClusterOutlined />,
  host: <HddOutlined />,
  unplaced: <QuestionCircleOutlined />,
}
const badHostStates = new Set(['down', 'failed'])
const treeHeightPx = 620

function useNodeName(): (node: TopologyNode) => string {
  const { t } = useTranslation()
  return (node) => (node.kind === 'unplaced' ? t('topology.unplaced') : node.name)
}

/** Apart from the field, so that a key typed there draws no rows: those follow when there is time. */
const NodeRows = memo(function NodeRows({
  nodes,
  expanded,
  selectedKey,
  onExpand,
  onSelect,
}: {
  nodes: TopologyNode[]
  expanded: Key[]
  selectedKey: string | undefined
  onExpand: (keys: Key[]) => void
  onSelect: (node: TopologyNode) => void
}) {
  const { t } = useTranslation()
  const nameOf = useNodeName()
  return (
    <Tree<TopologyNode>
      blockNode
      showIcon={false}
      height={treeHeightPx}
      treeData={nodes}
      fieldNames={{ title: 'name', key: 'key', children: 'children' }}
      selectedKeys={selectedKey === undefined ? [] : [selectedKey]}
      expandedKeys={expanded}
      // What is found shall be there at once, not when an animation of all that opens with it is over.
      motion={false}
      onExpand={onExpand}
      onSelect={(_, { node }) => onSelect(node)}
      titleRender={(node) => (
        <span className="tree-node">
          <span className="tree-name">
            {icons[node.kind]} {nameOf(node)}
            {badHostStates.has(node.state) && <Badge status="error" text={t('topology.down')} />}
            {node.state === 'maintenance' && <Badge status="warning" text={t('topology.maintenance')} />}
          </span>
          <span className="number muted">
            {formatNumber(node.counts.protected)} /{' '}
            {formatNumber(node.counts.protected + node.counts.unprotected)}
          </span>
        </span>
      )}
    />
  )
})

function NodeTree({
  nodes,
  selected,
  onSelect,
}: {
  nodes: TopologyNode[]
  selected: TopologyNode[]
  onSelect: (node: TopologyNode) => void
}) {
  const { t } = useTranslation()
  const [text, setText] = useState('')
  const wanted = useDeferredValue(text)
  const shown = useMemo(() => filterTopology(nodes, wanted), [nodes, wanted])
  const [opened, setOpened] = useState<Key[]>()
  const expanded = useMemo(() => {
    if (wanted !== '') return shown.flatMap((node) => [node.key, ...node.children.map(({ key }) => key)])
    return opened ?? [...shown, ...selected.slice(0, -1)].map(({ key }) => key)
  }, [wanted, shown, opened, selected])
  return (
    <Card styles={{ body: { padding: 12 } }}>
      <Input.Search
        allowClear
        placeholder={t('topology.find')}
        aria-label={t('topology.find')}
        value={text}
        onChange={(event) => setText(event.target.value)}
        style={{ marginBottom: 10 }}
      />
      <NodeRows
        nodes={shown}
        expanded={expanded}
        selectedKey={selected.at(-1)?.key}
        onExpand={setOpened}
        onSelect={onSelect}
      />
    </Card>
  )
}

function NodeAssets({ path }: { path: TopologyNode[] }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const nameOf = useNodeName()
  const [filters] = useFilters()
  const node = path.at(-1)
  const columns = useAssetColumns({ hasPlacement: node?.kind !== 'host', isNarrow: true })
  if (node === undefined) return null
  return (
    <div style={{ minWidth: 0 }}>
      <div className="topology-head">
        <div>
          <div className="muted">
            {path.slice(0, -1).map(nameOf).join(' › ') || t(`topology.kind.${node.kind}`)}
          </div>
          <h2>{nameOf(node)}</h2>
        </div>
        <CountsBar counts={node.counts} search={node.search} />
      </div>
      <div className="filters">
        <SearchFilter placeholder={t('asset.search')} />
      </div>
      <CursorTable<Asset>
        list="listAssets"
        label={nameOf(node)}
        query={{ ...node.search, search: filters.search }}
        columns={columns}
        rowKey={(asset) => asset.id}
        empty={<EmptyState text={t('topology.nodeEmpty')} />}
        onOpen={(asset) => void navigate({ to: '/assets/$id', params: { id: asset.id } })}
      />
    </div>
  )
}

function TopologyPage() {
  const { t } = useTranslation()
  const may = useMay()
  const navigate = useNavigate()
  const [filters, change] = useFilters()
  const query = useApi('getTopology', {})
  const nodes = useMemo(() => buildTopology(query.data?.platforms ?? []), [query.data])
  const wantedKey = filters.hostId ?? filters.clusterId ?? filters.platformId
  const found = pathTo(nodes, ({ key, search }) =>
    filters.isPlaced === 'false'
      ? search.isPlaced === 'false' && search.platformId === filters.platformId
      : key === wantedKey,
  )
  const path = found.length > 0 ? found : nodes.slice(0, 1)
  const select = ({ search }: TopologyNode) =>
    change({ platformId: '', clusterId: '', hostId: '', isPlaced: '', search: '', ...search })
  return (
    <Page title={t('menu.topology')} lead={t('topology.lead')}>
      <Loaded query={query}>
        {() =>
          nodes.length === 0 ? (
            <Card>
              <EmptyState
                text={t('topology.empty')}
                action={
                  may('platforms.write') && (
                    <Button type="primary" onClick={() => void navigate({ to: '/platforms' })}>
                      {t('platform.add')}
                    </Button>
                  )
                }
              />
            </Card>
          ) : (
            <div className="topology">
              <NodeTree nodes={nodes} selected={path} onSelect={select} />
              <NodeAssets path={path} />
            </div>
          )
        }
      </Loaded>
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/topology')({ component: TopologyPage })
