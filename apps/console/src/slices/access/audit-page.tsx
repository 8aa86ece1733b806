import type { AuditEntry } from '@ringwall/contracts'
import { createLazyRoute } from '@tanstack/react-router'
import { App, Button, type TableColumnsType, Tag } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../../app/api.ts'
import { useFilters } from '../../app/use-filters.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { SearchFilter, SelectFilter } from '../../ui/filters.tsx'
import { formatNumber, formatTime } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { EmptyState } from '../../ui/states.tsx'

const outcomeColor: Record<AuditEntry['outcome'], string> = {
  ok: 'success',
  refused: 'warning',
  failed: 'error',
}

function AuditPage() {
  const { t } = useTranslation()
  const { modal } = App.useApp()
  const [filters] = useFilters()
  const verify = useApiWrite('verifyAudit', ['listAudit'], (result) => {
    if (result.isIntact)
      modal.success({
        title: t('audit.intact'),
        content: (
          <>
            <p>{t('audit.intactText', { entries: formatNumber(result.entries) })}</p>
            <code className="mono break">{result.headHash}</code>
          </>
        ),
      })
    else modal.error({ title: t('audit.broken', { seq: result.brokenAtSeq ?? 0 }), content: result.reason })
  })
  const columns: TableColumnsType<AuditEntry> = [
    {
      title: '#',
      key: 'seq',
      width: 80,
      render: (_, entry) => <span className="number muted">{entry.seq}</span>,
    },
    {
      title: t('common.time'),
      key: 'at',
      width: 180,
      render: (_, entry) => <span className="number">{formatTime(entry.at)}</span>,
    },
    { title: t('audit.actor'), dataIndex: 'actor' },
    {
      title: t('audit.action'),
      key: 'action',
      render: (_, entry) => <span className="mono">{entry.action}</span>,
    },
    {
      title: t('audit.object'),
      key: 'object',
      render: (_, entry) => (
        <span className="mono muted">
          {[entry.objectKind, entry.objectId].filter((part) => part !== null).join(' ')}
        </span>
      ),
    },
    {
      title: t('audit.outcome'),
      key: 'outcome',
      render: (_, entry) => (
        <Tag color={outcomeColor[entry.outcome]}>{t(`audit.outcomes.${entry.outcome}`)}</Tag>
      ),
    },
    {
      title: t('audit.address'),
      key: 'address',
      render: (_, entry) => <span className="mono">{entry.address ?? '–'}</span>,
    },
    {
      title: t('audit.details'),
      key: 'details',
      render: (_, entry) => (
        <span className="mono muted break" style={{ maxWidth: 380, display: 'inline-block' }}>
          {Object.keys(entry.details).length > 0 ? JSON.stringify(entry.details) : ''}
        </span>
      ),
    },
  ]
  return (
    <Page
      title={t('menu.audit')}
      lead={t('audit.lead')}
      actions={
        <Button loading={verify.isPending} onClick={() => verify.mutate({})}>
          {t('audit.verify')}
        </Button>
      }
    >
      <div className="filters">
        <SearchFilter name="actor" placeholder={t('audit.actor')} />
        <SearchFilter name="action" placeholder={t('audit.action')} />
        <SelectFilter
          name="failedOnly"
          label={t('audit.outcome')}
          options={[{ value: 'true', label: t('audit.failedOnly') }]}
        />
      </div>
      <CursorTable<AuditEntry>
        list="listAudit"
        label={t('menu.audit')}
        query={filters}
        columns={columns}
        rowKey={(entry) => String(entry.seq)}
        empty={<EmptyState text={t('common.noMatch')} />}
      />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/audit')({ component: AuditPage })
