import type { Platform, PlatformSync } from '@ringwall/contracts'
import { createLazyRoute, Link, useNavigate, useParams } from '@tanstack/react-router'
import { Alert, App, Button, Card, Descriptions, Popconfirm, Table, type TableColumnsType, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { FigureCard } from '../../ui/figure-card.tsx'
import { formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { EmptyState, Loaded } from '../../ui/states.tsx'
import { StoredErrorText } from '../../ui/stored-error.tsx'
import { MonoText, TimeText } from '../../ui/texts.tsx'
import { PlatformStateTag } from './asset-tags.tsx'
import { PlatformSettings } from './platform-settings.tsx'
import { PlatformWarnings } from './platform-warnings.tsx'

function Figures({ platform }: { platform: Platform }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const { counts } = platform
  const open = (more: Record<string, string>) =>
    void navigate({ to: '/assets', search: { platformId: platform.id, ...more } as never })
  return (
    <div className="grid grid-4" style={{ marginBottom: 16 }}>
      <FigureCard
        label={t('platform.hosts')}
        value={counts.hosts}
        detail={t('platform.clusters', { count: counts.clusters })}
        onOpen={() => void navigate({ to: '/topology', search: { platformId: platform.id } as never })}
      />
      <FigureCard
        label={t('asset.views.protected')}
        value={counts.protected}
        tone="good"
        onOpen={() => open({ isProtected: 'true' })}
      />
      <FigureCard
        label={t('asset.views.unprotected')}
        value={counts.unprotected}
        {...(counts.unprotected > 0 ? { tone: 'warn' as const } : {})}
        onOpen={() => open({ isProtected: 'false' })}
      />
      <FigureCard
        label={t('asset.views.templates')}
        value={counts.templates}
        onOpen={() => open({ kind: 'template' })}
      />
    </div>
  )
}

function Connection({ platform }: { platform: Platform }) {
  const { t } = useTranslation()
  return (
    <Card title={t('platform.connection')}>
      <Descriptions column={1} size="small" styles={{ label: { width: 150 } }}>
        <Descriptions.Item label={t('platform.kindLabel')}>
          {t(`platform.kind.${platform.kind}`)}
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.product')}>
          {platform.identity === null ? '–' : `${platform.identity.product} ${platform.identity.version}`}
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.address')}>
          <MonoText text={platform.address || '–'} />
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.fingerprint')}>
          <MonoText text={platform.fingerprint ?? '–'} />
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.account')}>{platform.account ?? '–'}</Descriptions.Item>
        <Descriptions.Item label={t('platform.lastList')}>
          <TimeText at={platform.lastListAt} />
          {platform.lastListMs !== null && (
            <span className="muted number">&nbsp;{formatNumber(platform.lastListMs)} ms</span>
          )}
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.lastChange')}>
          <TimeText at={platform.lastChangeAt} />
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.lag')}>
          {platform.lagMs === null ? '–' : `${formatNumber(platform.lagMs)} ms`}
        </Descriptions.Item>
        <Descriptions.Item label={t('platform.every')}>
          {t('platform.everyValue', {
            minutes: platform.resyncMinutes,
            requests: platform.requestsPerSecond,
          })}
        </Descriptions.Item>
      </Descriptions>
    </Card>
  )
}

function Syncs({ syncs }: { syncs: PlatformSync[] }) {
  const { t } = useTranslation()
  const columns: TableColumnsType<PlatformSync> = [
    { title: t('common.time'), key: 'at', render: (_, sync) => <TimeText at={sync.at} /> },
    { title: t('platform.cause'), key: 'cause', render: (_, sync) => t(`platform.causes.${sync.cause}`) },
    {
      title: t('platform.result'),
      key: 'result',
      render: (_, sync) =>
        sync.error === null ? (
          <span className="number">
            {t('platform.syncValue', {
              objects: formatNumber(sync.objects),
              added: formatNumber(sync.added),
              changed: formatNumber(sync.changed),
              gone: formatNumber(sync.gone),
            })}
          </span>
        ) : (
          <StoredErrorText error={sync.error} />
        ),
    },
    {
      title: t('platform.duration'),
      key: 'duration',
      align: 'end',
      render: (_, sync) => <span className="number">{formatNumber(sync.durationMs)} ms</span>,
    },
  ]
  return (
    <Card title={t('platform.syncs')}>
      <Table<PlatformSync>
        size="small"
        columns={columns}
        dataSource={syncs}
        rowKey={(sync) => sync.at}
        pagination={{ pageSize: 10, hideOnSinglePage: true }}
        locale={{ emptyText: <EmptyState text={t('platform.noSyncs')} /> }}
      />
    </Card>
  )
}

function PlatformPage() {
  const { t } = useTranslation()
  const may = useMay()
  const navigate = useNavigate()
  const { message } = App.useApp()
  const { id = '' }: { id?: string } = useParams({ strict: false })
  const query = useApi('getPlatform', { params: { id } }, { refetchInterval: 10_000 })
  const [isEditOpen, setIsEditOpen] = useState(false)
  const sync = useApiWrite('syncPlatform', ['getPlatform'], () => void message.success(t('platform.syncing')))
  const remove = useApiWrite('removePlatform', ['listPlatforms', 'getTopology'], () => {
    void message.success(t('platform.removed'))
    void navigate({ to: '/platforms' })
  })
  return (
    <Loaded query={query}>
      {({ platform, syncs }) => (
        <Page
          title={platform.name}
          lead={
            <span style={{ display: 'inline-flex', gap: 14 }}>
              <PlatformStateTag value={platform.state} />
              {platform.labels.map((label) => (
                <Tag key={label} color={label === 'demo' ? 'purple' : 'default'}>
                  {label}
                </Tag>
              ))}
            </span>
          }
          actions={
            <>
              <Link to="/topology" search={{ platformId: id } as never}>
                <Button>{t('menu.topology')}</Button>
              </Link>
              {may('platforms.write') && platform.kind !== 'import' && (
                <>
                  <Button onClick={() => sync.mutate({ params: { id } })} loading={sync.isPending}>
                    {t('platform.syncNow')}
                  </Button>
                  <Button onClick={() => setIsEditOpen(true)}>{t('platform.edit')}</Button>
                </>
              )}
              {may('platforms.write') && (
                <Popconfirm
                  title={t('platform.removeTitle', { name: platform.name })}
                  description={t('platform.removeText')}
                  onConfirm={() => remove.mutate({ params: { id } })}
                >
                  <Button danger>{t('platform.remove')}</Button>
                </Popconfirm>
              )}
            </>
          }
        >
          {platform.error !== null && (
            <Alert
              type="error"
              showIcon
              style={{ marginBottom: 16 }}
              title={<StoredErrorText error={platform.error} />}
              description={
                <>
                  <TimeText at={platform.error.at} /> · {t('platform.keeps')}
                </>
              }
            />
          )}
          <PlatformWarnings warnings={platform.identity?.warnings ?? []} />
          <Figures platform={platform} />
          <div className="grid grid-2">
            <Connection platform={platform} />
            <Syncs syncs={syncs} />
          </div>
          <PlatformSettings platform={platform} isOpen={isEditOpen} onClose={() => setIsEditOpen(false)} />
        </Page>
      )}
    </Loaded>
  )
}

export const lazyRoute = createLazyRoute('/platforms/$id')({ component: PlatformPage })
