import type { InventoryIssue } from '@ringwall/contracts'
import { createLazyRoute, Link } from '@tanstack/react-router'
import { Button, Popconfirm, type TableColumnsType } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { useFilters } from '../../app/use-filters.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { SelectFilter } from '../../ui/filters.tsx'
import { Page } from '../../ui/page.tsx'
import { EmptyState } from '../../ui/states.tsx'
import { MonoText, TimeText } from '../../ui/texts.tsx'
import { IssueStateTag } from './asset-tags.tsx'

const kinds = ['duplicate_uuid', 'duplicate_mac', 'join_ambiguous', 'join_several'] as const
const states = ['open', 'dismissed', 'resolved'] as const

function IssuesPage() {
  const { t } = useTranslation()
  const may = useMay()
  const [filters] = useFilters()
  const dismiss = useApiWrite('dismissInventoryIssue', ['listInventoryIssues', 'listAssets'])
  const columns: TableColumnsType<InventoryIssue> = [
    {
      title: t('issue.title'),
      key: 'kind',
      render: (_, issue) => (
        <>
          <strong>{t(`issue.kind.${issue.kind}`)}</strong>
          <div className="muted">{t(`issue.why.${issue.kind}`)}</div>
          <MonoText text={issue.value} />
        </>
      ),
    },
    {
      title: t('issue.members'),
      key: 'members',
      render: (_, issue) => (
        <>
          {issue.assets.map((asset) => (
            <div key={asset.id}>
              <Link to="/assets/$id" params={{ id: asset.id }}>
                {asset.name}
              </Link>{' '}
              <span className="muted">{asset.platformName}</span>
            </div>
          ))}
          {issue.machines.map((machine) => (
            <div key={machine.id}>
              <Link to="/machines/$id" params={{ id: machine.id }}>
                {machine.hostname}
              </Link>{' '}
              <span className="muted">{t('issue.agent')}</span>
            </div>
          ))}
        </>
      ),
    },
    { title: t('common.state'), key: 'state', render: (_, issue) => <IssueStateTag value={issue.state} /> },
    { title: t('issue.lastAt'), key: 'last', render: (_, issue) => <TimeText at={issue.lastAt} /> },
    {
      title: '',
      key: 'actions',
      render: (_, issue) =>
        may('assets.write') &&
        issue.state === 'open' && (
          <Popconfirm
            title={t('issue.dismissTitle')}
            description={t('issue.dismissText')}
            onConfirm={() => dismiss.mutate({ params: { id: issue.id } })}
          >
            <Button size="small">{t('issue.dismiss')}</Button>
          </Popconfirm>
        ),
    },
  ]
  return (
    <Page title={t('menu.issues')} lead={t('issue.lead')}>
      <div className="filters">
        <SelectFilter
          name="state"
          label={t('common.state')}
          options={states.map((value) => ({ value, label: t(`issue.state.${value}`) }))}
        />
        <SelectFilter
          name="kind"
          label={t('issue.title')}
          options={kinds.map((value) => ({ value, label: t(`issue.kind.${value}`) }))}
        />
      </div>
      <CursorTable<InventoryIssue>
        list="listInventoryIssues"
        label={t('menu.issues')}
        query={filters}
        columns={columns}
        rowKey={(issue) => issue.id}
        empty={<EmptyState text={t('issue.empty')} />}
      />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/inventory-issues')({ component: IssuesPage })
