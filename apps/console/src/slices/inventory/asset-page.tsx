import type { AssetDetail } from '@ringwall/contracts'
import { createLazyRoute, Link, useParams } from '@tanstack/react-router'
import { Alert, Button, Card, Descriptions, Tag, Timeline } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { formatTime } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { EmptyState, Loaded } from '../../ui/states.tsx'
import { MonoText, TimeText } from '../../ui/texts.tsx'
import { AssetProtection, PowerTag } from './asset-tags.tsx'
import { LabelsDialog } from './labels-dialog.tsx'
import { ProtectDrawer } from './protect-drawer.tsx'

function Identity({ asset }: { asset: AssetDetail }) {
  const { t } = useTranslation()
  return (
    <Card title={t('asset.identity')}>
      <Descriptions column={1} size="small" styles={{ label: { width: 140 } }}>
        <Descriptions.Item label={t('asset.platform')}>
          <Link to="/platforms/$id" params={{ id: asset.platform.id }}>
            {asset.platform.name}
          </Link>
          <span className="muted">&nbsp;{t(`platform.kind.${asset.platform.kind}`)}</span>
        </Descriptions.Item>
        <Descriptions.Item label={t('asset.host')}>
          {asset.host === null ? (
            '–'
          ) : (
            <Link to="/topology" search={{ hostId: asset.host.id } as never}>
              {asset.host.name}
            </Link>
          )}
          {asset.migratingTo !== null && <Tag color="processing">→ {asset.migratingTo.name}</Tag>}
        </Descriptions.Item>
        <Descriptions.Item label={t('asset.cluster')}>{asset.cluster?.name ?? '–'}</Descriptions.Item>
        <Descriptions.Item label={t('machine.pool')}>{t(`machine.pools.${asset.pool}`)}</Descriptions.Item>
        <Descriptions.Item label={t('asset.guestOs')}>{asset.guestOs ?? '–'}</Descriptions.Item>
        <Descriptions.Item label="UUID">
          <MonoText text={asset.uuid ?? '–'} />
        </Descriptions.Item>
        <Descriptions.Item label="MAC">
          <MonoText text={asset.macs.join(', ') || '–'} />
        </Descriptions.Item>
        <Descriptions.Item label={t('asset.addresses')}>
          <MonoText text={asset.addresses.join(', ') || '–'} />
        </Descriptions.Item>
        <Descriptions.Item label={t('asset.datastores')}>
          {asset.datastores.join(', ') || '–'}
        </Descriptions.Item>
        <Descriptions.Item label={t('asset.ref')}>
          <MonoText text={asset.ref} />
        </Descriptions.Item>
        <Descriptions.Item label={t('asset.firstSeen')}>
          <TimeText at={asset.firstSeenAt} />
        </Descriptions.Item>
      </Descriptions>
    </Card>
  )
}

function Lineage({ asset }: { asset: AssetDetail }) {
  const { t } = useTranslation()
  const { parent, children, childCount } = asset
  return (
    <Card title={t('asset.lineage')}>
      {parent === null && childCount === 0 && <EmptyState text={t('asset.noLineage')} />}
      {parent !== null && (
        <p>
          {t('asset.parentOf')}{' '}
          {parent.assetId === null ? (
            <strong>{parent.name ?? '–'}</strong>
          ) : (
            <Link to="/assets/$id" params={{ id: parent.assetId }}>
              {parent.name ?? parent.assetId}
            </Link>
          )}{' '}
          <Tag>{t(`asset.parentKind.${parent.kind}`)}</Tag>
          <div className="muted mono break">{parent.evidence}</div>
        </p>
      )}
      {childCount > 0 && (
        <>
          <p className="muted">{t('asset.children', { count: childCount })}</p>
          <ul style={{ margin: 0, paddingInlineStart: 18 }}>
            {children.map((child) => (
              <li key={child.id}>
                <Link to="/assets/$id" params={{ id: child.id }}>
                  {child.name}
                </Link>{' '}
                <Tag>{t(`asset.parentKind.${child.kind}`)}</Tag>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

function Placements({ asset }: { asset: AssetDetail }) {
  const { t } = useTranslation()
  return (
    <Card title={t('asset.placements')}>
      {asset.placements.length === 0 ? (
        <EmptyState text={t('asset.noPlacements')} />
      ) : (
        <Timeline
          items={asset.placements.map((placement) => ({
            key: `${placement.from}${placement.host.id}`,
            color: placement.to === null ? 'green' : 'gray',
            content: (
              <>
                <strong>{placement.host.name}</strong> <Tag>{t(`asset.cause.${placement.cause}`)}</Tag>
                <div className="muted number">
                  {formatTime(placement.from)} –{' '}
                  {placement.to === null ? t('asset.now') : formatTime(placement.to)}
                </div>
              </>
            ),
          }))}
        />
      )}
    </Card>
  )
}

function AssetPage() {
  const { t } = useTranslation()
  const may = useMay()
  const { id = '' }: { id?: string } = useParams({ strict: false })
  const query = useApi('getAsset', { params: { id } })
  const [dialog, setDialog] = useState<'labels' | 'protect'>()
  const close = () => setDialog(undefined)
  return (
    <Loaded query={query}>
      {({ asset }) => (
        <Page
          title={asset.name}
          lead={
            <span style={{ display: 'inline-flex', gap: 16, flexWrap: 'wrap' }}>
              <PowerTag value={asset.power} />
              <AssetProtection asset={asset} />
              {asset.labels.map((label) => (
                <Tag key={label}>{label}</Tag>
              ))}
            </span>
          }
          actions={
            <>
              {may('assets.write') && (
                <Button onClick={() => setDialog('labels')}>{t('asset.labelAction')}</Button>
              )}
              {may('machines.protect') && asset.machine === null && asset.kind !== 'template' && (
                <Button type="primary" onClick={() => setDialog('protect')}>
                  {t('protect.one')}
                </Button>
              )}
            </>
          }
        >
          {asset.goneAt !== null && (
            <Alert
              type="warning"
              showIcon
              style={{ marginBottom: 16 }}
              title={t('asset.goneSince', { time: formatTime(asset.goneAt) })}
            />
          )}
          {asset.issues
            .filter(({ state }) => state === 'open')
            .map((issue) => (
              <Alert
                key={issue.id}
                type="warning"
                showIcon
                style={{ marginBottom: 16 }}
                title={t(`issue.kind.${issue.kind}`)}
                description={
                  <>
                    <MonoText text={issue.value} />
                    <div>
                      {issue.assets
                        .filter((other) => other.id !== asset.id)
                        .map((other) => (
                          <Link key={other.id} to="/assets/$id" params={{ id: other.id }}>
                            {other.name}&nbsp;
                          </Link>
                        ))}
                    </div>
                  </>
                }
              />
            ))}
          <div className="grid grid-2">
            <Identity asset={asset} />
            <div className="grid" style={{ alignContent: 'start' }}>
              <Placements asset={asset} />
              <Lineage asset={asset} />
            </div>
          </div>
          <LabelsDialog assetIds={[id]} isOpen={dialog === 'labels'} onClose={close} />
          <ProtectDrawer assetIds={[id]} isOpen={dialog === 'protect'} onClose={close} />
        </Page>
      )}
    </Loaded>
  )
}

export const lazyRoute = createLazyRoute('/assets/$id')({ component: AssetPage })
