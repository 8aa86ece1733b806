import type { PushTarget } from '@ringwall/contracts'
import { Alert, Badge, Button, Progress, Table, type TableColumnsType } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { Loaded } from '../../ui/states.tsx'
import { StoredErrorText } from '../../ui/stored-error.tsx'

const tone = {
  queued: 'default',
  connecting: 'processing',
  copying: 'processing',
  installing: 'processing',
  waiting: 'processing',
  done: 'success',
  failed: 'error',
  cancelled: 'default',
} as const satisfies Record<PushTarget['state'], string>

/** A push job, live: each machine with its state, the host key it showed, and why it failed. */
export function PushProgress({ jobId }: { jobId: string }) {
  const { t } = useTranslation()
  const query = useApi('getPushJob', { params: { id: jobId } }, { refetchInterval: 5_000 })
  const cancel = useApiWrite('cancelPushJob', ['getPushJob'])
  const columns: TableColumnsType<PushTarget> = [
    {
      title: t('asset.name'),
      key: 'name',
      render: (_, target) => (
        <>
          <strong>{target.name}</strong>
          <div className="mono muted">{`${target.address}:${target.port}`}</div>
        </>
      ),
    },
    {
      title: t('common.state'),
      key: 'state',
      render: (_, target) => (
        <>
          <Badge status={tone[target.state]} text={t(`protect.state.${target.state}`)} />
          {target.error !== null && (
            <div>
              <StoredErrorText error={target.error} />
            </div>
          )}
          {target.hostKey !== null && (
            <div className="mono muted break">
              {t(target.isHostKeyNew ? 'protect.newHostKey' : 'protect.knownHostKey')} {target.hostKey}
            </div>
          )}
        </>
      ),
    },
  ]
  return (
    <Loaded query={query}>
      {({ job, targets }) => (
        <>
          <Progress
            percent={Math.round((100 * (job.counts.total - job.counts.open)) / Math.max(1, job.counts.total))}
            {...(job.counts.failed > 0 ? { status: 'exception' as const } : {})}
          />
          <div style={{ display: 'flex', justifyContent: 'space-between', margin: '8px 0 14px' }}>
            <span className="number">
              {t('protect.counts', {
                done: job.counts.done,
                failed: job.counts.failed,
                open: job.counts.open,
              })}
            </span>
            {job.endedAt === null && (
              <Button size="small" onClick={() => cancel.mutate({ params: { id: jobId } })}>
                {t('protect.cancel')}
              </Button>
            )}
          </div>
          {targets.some(({ isHostKeyNew }) => isHostKeyNew) && (
            <Alert type="info" showIcon style={{ marginBottom: 12 }} title={t('protect.hostKeyHint')} />
          )}
          <Table<PushTarget>
            size="small"
            columns={columns}
            dataSource={targets}
            rowKey={(target) => target.assetId}
            pagination={{ pageSize: 20, hideOnSinglePage: true }}
          />
        </>
      )}
    </Loaded>
  )
}
