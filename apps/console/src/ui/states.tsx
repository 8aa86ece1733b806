import { CloseCircleOutlined } from '@ant-design/icons'
import { Button, Empty, Skeleton } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { errorToText } from './error-text.ts'

/** A failed read: what happened and a way to try again. */
export function ErrorState({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { t } = useTranslation()
  return (
    <div role="alert" style={{ textAlign: 'center', padding: '48px 16px' }}>
      <CloseCircleOutlined style={{ fontSize: 28, color: 'var(--ant-color-error)' }} />
      <p style={{ margin: '12px 0 16px' }}>{errorToText(error)}</p>
      <Button onClick={onRetry}>{t('common.retry')}</Button>
    </div>
  )
}

/** Nothing there yet, and what to do about it. */
export function EmptyState({ text, action }: { text: string; action?: ReactNode }) {
  return (
    <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={text} style={{ padding: '28px 0' }}>
      {action}
    </Empty>
  )
}

type Query<T> = { data: T | undefined; error: Error | null; refetch: () => unknown }

/** Shows a read in its three states: on its way, failed, there. */
export function Loaded<T>({ query, children }: { query: Query<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>
  if (query.error !== null) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />
  return <Skeleton active paragraph={{ rows: 6 }} style={{ padding: 24 }} />
}
