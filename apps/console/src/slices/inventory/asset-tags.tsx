import type { Asset, InventoryIssue, Platform } from '@ringwall/contracts'
import { Link } from '@tanstack/react-router'
import { Badge, Tag, Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

type Tone = 'success' | 'warning' | 'error' | 'processing' | 'default'

const platformTone: Record<Platform['state'], Tone> = {
  connecting: 'processing',
  listing: 'processing',
  watching: 'success',
  failed: 'error',
  disabled: 'default',
  manual: 'default',
}
const powerTone: Record<Asset['power'], Tone> = {
  on: 'success',
  off: 'default',
  suspended: 'warning',
  unknown: 'default',
}

export function PlatformStateTag({ value }: { value: Platform['state'] }) {
  const { t } = useTranslation()
  return <Badge status={platformTone[value]} text={t(`platform.state.${value}`)} />
}

export function PowerTag({ value }: { value: Asset['power'] }) {
  const { t } = useTranslation()
  return <Badge status={powerTone[value]} text={t(`asset.power.${value}`)} />
}

export function IssueStateTag({ value }: { value: InventoryIssue['state'] }) {
  const { t } = useTranslation()
  return <Tag color={value === 'open' ? 'warning' : 'default'}>{t(`issue.state.${value}`)}</Tag>
}

/** Whether an agent protects it; a template runs nothing and needs none. */
export function AssetProtection({ asset }: { asset: Asset }) {
  const { t } = useTranslation()
  if (asset.machine !== null)
    return (
      <Tooltip title={t('asset.joinedBy', { evidence: asset.machine.evidence })}>
        <Link
          to="/machines/$id"
          params={{ id: asset.machine.id }}
          onClick={(event) => event.stopPropagation()}
        >
          <Badge
            status={asset.machine.protection === 'protected' ? 'success' : 'warning'}
            text={t(`machine.protection.${asset.machine.protection}`)}
          />
        </Link>
      </Tooltip>
    )
  if (asset.kind === 'template') return <span className="muted">{t('asset.kind.template')}</span>
  return <Badge status="warning" text={t('asset.unprotected')} />
}
