import type { Asset } from '@ringwall/contracts'
import { type TableColumnsType, Tag, Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'
import { TimeText } from '../../ui/texts.tsx'
import { AssetProtection, PowerTag } from './asset-tags.tsx'

/** Columns of every list of assets. `isNarrow`: beside something else, with what matters most. */
export function useAssetColumns({ hasPlacement = true, isNarrow = false } = {}): TableColumnsType<Asset> {
  const { t } = useTranslation()
  return [
    {
      title: t('asset.name'),
      key: 'name',
      render: (_, asset) => (
        <>
          <strong className="break">{asset.name}</strong>{' '}
          {asset.kind !== 'guest' && <Tag>{t(`asset.kind.${asset.kind}`)}</Tag>}
          {asset.parent !== null && <Tag>{t(`asset.parentKind.${asset.parent.kind}`)}</Tag>}
          {asset.openIssues > 0 && (
            <Tag color="warning">{t('asset.issues', { count: asset.openIssues })}</Tag>
          )}
          {asset.labels.map((label) => (
            <Tag key={label}>{label}</Tag>
          ))}
        </>
      ),
    },
    ...(hasPlacement
      ? [
          {
            title: t('asset.placement'),
            key: 'placement',
            render: (_: unknown, asset: Asset) => (
              <>
                <div>
                  {asset.host?.name ?? '–'}
                  {asset.migratingTo !== null && (
                    <Tooltip title={t('asset.migratingTo', { host: asset.migratingTo.name })}>
                      <span> → {asset.migratingTo.name}</span>
                    </Tooltip>
                  )}
                </div>
                <div className="muted">
                  {[asset.platform.name, asset.cluster?.name]
                    .filter((name) => name !== undefined)
                    .join(' · ')}
                </div>
              </>
            ),
          },
        ]
      : []),
    { title: t('asset.powerState'), key: 'power', render: (_, asset) => <PowerTag value={asset.power} /> },
    {
      title: t('asset.addresses'),
      key: 'addresses',
      render: (_, asset) =>
        asset.addresses.length === 0
          ? '–'
          : asset.addresses.slice(0, 2).map((address) => (
              <div key={address} className="mono" style={{ whiteSpace: 'nowrap' }}>
                {address}
              </div>
            )),
    },
    ...(isNarrow
      ? []
      : [
          {
            title: t('asset.guestOs'),
            key: 'os',
            render: (_: unknown, asset: Asset) => asset.guestOs ?? '–',
          },
        ]),
    {
      title: t('machine.protectionState'),
      key: 'protection',
      render: (_, asset) => <AssetProtection asset={asset} />,
    },
    ...(isNarrow
      ? []
      : [
          {
            title: t('asset.lastSeen'),
            key: 'lastSeen',
            render: (_: unknown, asset: Asset) => <TimeText at={asset.goneAt ?? asset.lastSeenAt} />,
          },
        ]),
  ]
}
