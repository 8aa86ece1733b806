import { DownloadOutlined, UploadOutlined } from '@ant-design/icons'
import type { Asset } from '@ringwall/contracts'
import { createLazyRoute, useNavigate } from '@tanstack/react-router'
import { App, Button, Segmented } from 'antd'
import { type Key, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { useFilters } from '../../app/use-filters.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { downloadCsv } from '../../ui/download.ts'
import { SearchFilter, SelectFilter } from '../../ui/filters.tsx'
import { Page } from '../../ui/page.tsx'
import { EmptyState } from '../../ui/states.tsx'
import { useAssetColumns } from './asset-columns.tsx'
import { ImportDialog } from './import-dialog.tsx'
import { LabelsDialog } from './labels-dialog.tsx'
import { ProtectDrawer } from './protect-drawer.tsx'
import { SavedFilters } from './saved-filters.tsx'

type View = 'all' | 'unprotected' | 'protected' | 'templates' | 'issues' | 'gone'

/** The views are filters like any other: the address says which one is shown. */
const viewFilters: Record<View, Record<string, string>> = {
  all: {},
  unprotected: { isProtected: 'false' },
  protected: { isProtected: 'true' },
  templates: { kind: 'template' },
  issues: { hasIssue: 'true' },
  gone: { isGone: 'true' },
}
const views = Object.keys(viewFilters) as View[]

function viewOf(filters: Record<string, string | undefined>): View {
  return (
    views.find((view) => {
      const wanted = Object.entries(viewFilters[view])
      return wanted.length > 0 && wanted.every(([key, value]) => filters[key] === value)
    }) ?? 'all'
  )
}

function ViewSwitch() {
  const { t } = useTranslation()
  const [filters, change] = useFilters()
  return (
    <Segmented<View>
      aria-label={t('asset.view')}
      value={viewOf(filters)}
      options={views.map((view) => ({ value: view, label: t(`asset.views.${view}`) }))}
      onChange={(view) =>
        change({ isProtected: '', kind: '', hasIssue: '', isGone: '', ...viewFilters[view] })
      }
    />
  )
}

function PlaceFilters() {
  const { t } = useTranslation()
  const [filters] = useFilters()
  const platforms = useApi('getTopology', {}).data?.platforms ?? []
  const chosen = platforms.find(({ id }) => id === filters.platformId)
  const toOption = ({ id, name }: { id: string; name: string }) => ({ value: id, label: name })
  return (
    <>
      <SelectFilter name="platformId" label={t('asset.platform')} options={platforms.map(toOption)} />
      {chosen !== undefined && chosen.clusters.length > 0 && (
        <SelectFilter name="clusterId" label={t('asset.cluster')} options={chosen.clusters.map(toOption)} />
      )}
      {chosen !== undefined && chosen.hosts.length > 0 && (
        <SelectFilter
          name="hostId"
          label={t('asset.host')}
          options={chosen.hosts
            .filter((host) => filters.clusterId === undefined || host.clusterId === filters.clusterId)
            .map(toOption)}
        />
      )}
    </>
  )
}

function LabelFilter() {
  const { t } = useTranslation()
  const labels = useApi('listAssetLabels', {}).data?.labels ?? []
  if (labels.length === 0) return null
  return (
    <SelectFilter
      name="label"
      label={t('asset.label')}
      options={labels.map(({ label, count }) => ({ value: label, label: `${label} (${count})` }))}
    />
  )
}

function AssetsPage() {
  const { t } = useTranslation()
  const may = useMay()
  const { message } = App.useApp()
  const navigate = useNavigate()
  const [filters] = useFilters()
  const [selected, setSelected] = useState<Key[]>([])
  const [dialog, setDialog] = useState<'labels' | 'import' | 'protect'>()
  const columns = useAssetColumns()
  const exported = useApiWrite('exportAssets', [], ({ fileName, csv }) => {
    downloadCsv(fileName, csv)
    void message.success(t('asset.exported', { fileName }))
  })
  const chosen = selected.map(String)
  const close = () => setDialog(undefined)
  return (
    <Page
      title={t('menu.assets')}
      lead={t('asset.lead')}
      actions={
        <>
          <SavedFilters list="assets" />
          <Button
            icon={<DownloadOutlined />}
            loading={exported.isPending}
            onClick={() => exported.mutate({ query: filters as never })}
          >
            {t('asset.export')}
          </Button>
          {may('assets.write') && (
            <Button icon={<UploadOutlined />} onClick={() => setDialog('import')}>
              {t('import.action')}
            </Button>
          )}
          {may('assets.write') && (
            <Button disabled={chosen.length === 0} onClick={() => setDialog('labels')}>
              {t('asset.labelAction')}
            </Button>
          )}
          {may('machines.protect') && (
            <Button type="primary" disabled={chosen.length === 0} onClick={() => setDialog('protect')}>
              {t('protect.action', { count: chosen.length })}
            </Button>
          )}
        </>
      }
    >
      <div className="filters">
        <ViewSwitch />
      </div>
      <div className="filters">
        <SearchFilter placeholder={t('asset.search')} />
        <PlaceFilters />
        <SelectFilter
          name="pool"
          label={t('machine.pool')}
          options={(['physical', 'virtual', 'cloud'] as const).map((value) => ({
            value,
            label: t(`machine.pools.${value}`),
          }))}
        />
        <SelectFilter
          name="power"
          label={t('asset.powerState')}
          options={(['on', 'off', 'suspended', 'unknown'] as const).map((value) => ({
            value,
            label: t(`asset.power.${value}`),
          }))}
        />
        <LabelFilter />
      </div>
      <CursorTable<Asset>
        list="listAssets"
        label={t('menu.assets')}
        query={filters}
        columns={columns}
        rowKey={(asset) => asset.id}
        empty={
          <EmptyState
            text={t('asset.empty')}
            action={
              may('platforms.write') && (
                <Button onClick={() => void navigate({ to: '/platforms' })}>{t('platform.add')}</Button>
              )
            }
          />
        }
        onOpen={(asset) => void navigate({ to: '/assets/$id', params: { id: asset.id } })}
        selection={{ keys: selected, onChange: setSelected }}
      />
      <LabelsDialog assetIds={chosen} isOpen={dialog === 'labels'} onClose={close} />
      <ImportDialog isOpen={dialog === 'import'} onClose={close} />
      <ProtectDrawer assetIds={chosen} isOpen={dialog === 'protect'} onClose={close} />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/assets')({ component: AssetsPage })
