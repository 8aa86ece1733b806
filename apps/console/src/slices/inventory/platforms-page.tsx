import { PlusOutlined } from '@ant-design/icons'
import type { Platform } from '@ringwall/contracts'
import { createLazyRoute, useNavigate } from '@tanstack/react-router'
import { Button, type TableColumnsType, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../app/session.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { EmptyState } from '../../ui/states.tsx'
import { StoredErrorText } from '../../ui/stored-error.tsx'
import { MonoText, TimeText } from '../../ui/texts.tsx'
import { PlatformStateTag } from './asset-tags.tsx'
import { CountsBar } from './counts.tsx'
import { PlatformWizard } from './platform-wizard.tsx'

function PlatformsPage() {
  const { t } = useTranslation()
  const may = useMay()
  const navigate = useNavigate()
  const [isAddOpen, setIsAddOpen] = useState(false)
  const columns: TableColumnsType<Platform> = [
    {
      title: t('platform.name'),
      key: 'name',
      render: (_, platform) => (
        <>
          <strong>{platform.name}</strong>{' '}
          {platform.labels.map((label) => (
            <Tag key={label} color={label === 'demo' ? 'purple' : 'default'}>
              {label}
            </Tag>
          ))}
          <div className="muted">{t(`platform.kind.${platform.kind}`)}</div>
        </>
      ),
    },
    {
      title: t('platform.address'),
      key: 'address',
      render: (_, platform) => <MonoText text={platform.address || '–'} />,
    },
    {
      title: t('common.state'),
      key: 'state',
      render: (_, platform) => (
        <>
          <PlatformStateTag value={platform.state} />
          {platform.error !== null && (
            <div className="muted">
              <StoredErrorText error={platform.error} />
            </div>
          )}
        </>
      ),
    },
    {
      title: t('platform.hosts'),
      key: 'hosts',
      align: 'end',
      render: (_, platform) => <span className="number">{formatNumber(platform.counts.hosts)}</span>,
    },
    {
      title: t('platform.protected'),
      key: 'counts',
      render: (_, platform) => <CountsBar counts={platform.counts} search={{ platformId: platform.id }} />,
    },
    {
      title: t('platform.lastList'),
      key: 'list',
      render: (_, platform) => <TimeText at={platform.lastListAt} />,
    },
  ]
  return (
    <Page
      title={t('menu.platforms')}
      lead={t('platform.lead')}
      actions={
        may('platforms.write') && (
          <Button type="primary" icon={<PlusOutlined />} onClick={() => setIsAddOpen(true)}>
            {t('platform.add')}
          </Button>
        )
      }
    >
      <CursorTable<Platform>
        list="listPlatforms"
        label={t('menu.platforms')}
        columns={columns}
        rowKey={(platform) => platform.id}
        empty={
          <EmptyState
            text={t('platform.empty')}
            action={
              may('platforms.write') && (
                <Button onClick={() => setIsAddOpen(true)}>{t('platform.add')}</Button>
              )
            }
          />
        }
        onOpen={(platform) => void navigate({ to: '/platforms/$id', params: { id: platform.id } })}
      />
      <PlatformWizard isOpen={isAddOpen} onClose={() => setIsAddOpen(false)} />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/platforms')({ component: PlatformsPage })
