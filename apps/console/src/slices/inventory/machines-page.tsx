import type { Machine } from '@ringwall/contracts'
import { createLazyRoute, useNavigate } from '@tanstack/react-router'
import { Button, type TableColumnsType, Tag } from 'antd'
import { type Key, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../app/session.ts'
import { useFilters } from '../../app/use-filters.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { LinkedFilters, SearchFilter, SelectFilter } from '../../ui/filters.tsx'
import { Page } from '../../ui/page.tsx'
import { StartScanDialog } from '../../ui/start-scan-dialog.tsx'
import { EmptyState } from '../../ui/states.tsx'
import { LinkTag, ProtectionTag } from '../../ui/tags.tsx'
import { MonoText, TimeText } from '../../ui/texts.tsx'
import { SavedFilters } from './saved-filters.tsx'

function useColumns(): TableColumnsType<Machine> {
  const { t } = useTranslation()
  return [
    {
      title: t('machine.hostname'),
      key: 'hostname',
      render: (_, machine) => (
        <>
          <strong>{machine.hostname}</strong> {machine.lineage !== null && <Tag>{t('machine.clone')}</Tag>}
          {machine.labels.map((label) => (
            <Tag key={label}>{label}</Tag>
          ))}
        </>
      ),
    },
    { title: t('machine.os'), key: 'os', render: (_, machine) => machine.osName },
    {
      title: t('machine.pool'),
      key: 'pool',
      render: (_, machine) =>
        `${t(`machine.pools.${machine.pool}`)}${machine.hypervisor ? ` · ${machine.hypervisor}` : ''}`,
    },
    {
      title: t('machine.addresses'),
      key: 'addresses',
      render: (_, machine) => <MonoText text={machine.addresses.slice(0, 2).join(', ')} />,
    },
    {
      title: t('machine.linkState'),
      key: 'link',
      render: (_, machine) => <LinkTag value={machine.linkState} />,
    },
    {
      title: t('machine.protectionState'),
      key: 'protection',
      render: (_, machine) => <ProtectionTag value={machine.protection} />,
    },
    {
      title: t('machine.openFindings'),
      key: 'findings',
      align: 'end',
      render: (_, machine) => <span className="number">{machine.openFindings}</span>,
    },
    {
      title: t('machine.lastScan'),
      key: 'scan',
      render: (_, machine) => <TimeText at={machine.lastScanAt} />,
    },
  ]
}

function MachinesPage() {
  const { t } = useTranslation()
  const may = useMay()
  const navigate = useNavigate()
  const [filters] = useFilters()
  const [selected, setSelected] = useState<Key[]>([])
  const [isScanOpen, setIsScanOpen] = useState(false)
  const columns = useColumns()
  const options = (names: readonly string[], label: (name: string) => string) =>
    names.map((value) => ({ value, label: label(value) }))
  return (
    <Page
      title={t('menu.machines')}
      lead={t('machine.lead')}
      actions={
        <>
          <SavedFilters list="machines" />
          {may('scans.run') && (
            <Button disabled={selected.length === 0} onClick={() => setIsScanOpen(true)}>
              {t('scan.startFor', { count: selected.length })}
            </Button>
          )}
          {may('machines.enrol') && (
            <Button type="primary" onClick={() => void navigate({ to: '/enrol' })}>
              {t('enrol.action')}
            </Button>
          )}
        </>
      }
    >
      <div className="filters">
        <SearchFilter placeholder={t('machine.search')} />
        <SelectFilter
          name="pool"
          label={t('machine.pool')}
          options={options(['physical', 'virtual', 'cloud'], (value) =>
            t(`machine.pools.${value as 'physical'}`),
          )}
        />
        <SelectFilter
          name="linkState"
          label={t('machine.linkState')}
          options={options(['online', 'offline', 'never'], (value) => t(`machine.link.${value as 'online'}`))}
        />
        <SelectFilter
          name="protection"
          label={t('machine.protectionState')}
          options={options(['protected', 'degraded', 'unreachable'], (value) =>
            t(`machine.protection.${value as 'protected'}`),
          )}
        />
        <SelectFilter
          name="hasOpenFindings"
          label={t('machine.openFindings')}
          options={options(['true', 'false'], (value) =>
            t(value === 'true' ? 'machine.withFindings' : 'machine.withoutFindings'),
          )}
        />
        <LinkedFilters names={['sha256', 'madeFrom']} />
      </div>
      <CursorTable<Machine>
        list="listMachines"
        label={t('menu.machines')}
        query={filters}
        columns={columns}
        rowKey={(machine) => machine.id}
        empty={
          <EmptyState
            text={t('machine.empty')}
            action={
              may('machines.enrol') && (
                <Button onClick={() => void navigate({ to: '/enrol' })}>{t('enrol.action')}</Button>
              )
            }
          />
        }
        onOpen={(machine) => void navigate({ to: '/machines/$id', params: { id: machine.id } })}
        selection={{ keys: selected, onChange: setSelected }}
      />
      <StartScanDialog
        machineIds={selected.map(String)}
        isOpen={isScanOpen}
        onClose={() => setIsScanOpen(false)}
      />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/machines')({ component: MachinesPage })
