import { LeftOutlined, RightOutlined } from '@ant-design/icons'
import type { ApiRoutes, OperationId, RouteRequest } from '@ringwall/contracts'
import { keepPreviousData } from '@tanstack/react-query'
import { Button, Card, Table, type TableColumnsType } from 'antd'
import { type Key, type ReactNode, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi } from '../app/api.ts'
import { formatNumber } from './format.ts'
import { ErrorState } from './states.tsx'

type Page<T> = { items: T[]; nextCursor: string | null; total: number }
type ListId = {
  [Id in OperationId]: ApiRoutes[Id] extends { query: object; response: object } ? Id : never
}[OperationId]

type Props<T> = {
  list: ListId
  /** Path params and filters; a change of filters goes back to the first page. */
  params?: Record<string, string>
  query?: Record<string, string | undefined>
  columns: TableColumnsType<T>
  rowKey: (row: T) => string
  empty: ReactNode
  onOpen?: (row: T) => void
  selection?: { keys: Key[]; onChange: (keys: Key[]) => void }
  /** Named for screen readers. */
  label: string
  pageSize?: number
  /** What a row opens to under itself; it is read once the row is opened. */
  expand?: { when: (row: T) => boolean; render: (row: T) => ReactNode }
}

/** A table over one of the API's lists, a page at a time, with the total that the filters match. */
export function CursorTable<T extends object>({
  list,
  params,
  query = {},
  columns,
  rowKey,
  empty,
  onOpen,
  selection,
  label,
  pageSize = 25,
  expand,
}: Props<T>) {
  const { t } = useTranslation()
  const filterKey = JSON.stringify([params, query])
  const [position, setPosition] = useState<{ filterKey: string; cursors: string[] }>({
    filterKey,
    cursors: [],
  })
  useEffect(() => setPosition({ filterKey, cursors: [] }), [filterKey])
  const cursors = position.filterKey === filterKey ? position.cursors : []
  const cursor = cursors.at(-1)
  const request = {
    ...(params ? { params } : {}),
    query: { ...query, limit: pageSize, cursor },
  } as unknown as RouteRequest<ApiRoutes[ListId]>
  const result = useApi(list, request, { placeholderData: keepPreviousData as never })
  const page = result.data as unknown as Page<T> | undefined
  if (page === undefined && result.error !== null)
    return <ErrorState error={result.error} onRetry={() => void result.refetch()} />
  const goTo = (next: string[]) => setPosition({ filterKey, cursors: next })
  const firstRow = cursors.length * pageSize
  return (
    <Card styles={{ body: { padding: '6px 12px 14px' } }}>
      <Table<T>
        aria-label={label}
        size="middle"
        columns={columns}
        dataSource={page?.items ?? []}
        rowKey={rowKey}
        loading={page === undefined}
        pagination={false}
        scroll={{ x: true }}
        locale={{ emptyText: page === undefined ? ' ' : empty }}
        {...(expand ? { expandable: { rowExpandable: expand.when, expandedRowRender: expand.render } } : {})}
        {...(selection
          ? {
              rowSelection: {
                selectedRowKeys: selection.keys,
                onChange: selection.onChange,
                preserveSelectedRowKeys: true,
              },
            }
          : {})}
        {...(onOpen
          ? {
              onRow: (row: T) => ({
                tabIndex: 0,
                style: { cursor: 'pointer' },
                onClick: () => onOpen(row),
                onKeyDown: (event) => {
                  if (event.key === 'Enter' && event.target === event.currentTarget) onOpen(row)
                },
              }),
            }
          : {})}
      />
      {page !== undefined && page.total > 0 && (
        <div className="table-foot">
          <span className="muted number">
            {t('common.range', {
              from: formatNumber(firstRow + 1),
              to: formatNumber(firstRow + page.items.length),
              total: formatNumber(page.total),
            })}
          </span>
          <div style={{ display: 'flex', gap: 8 }}>
            <Button
              size="small"
              icon={<LeftOutlined />}
              disabled={cursors.length === 0}
              aria-label={t('common.previous')}
              onClick={() => goTo(cursors.slice(0, -1))}
            />
            <Button
              size="small"
              icon={<RightOutlined />}
              disabled={page.nextCursor === null}
              aria-label={t('common.next')}
              onClick={() => page.nextCursor !== null && goTo([...cursors, page.nextCursor])}
            />
          </div>
        </div>
      )}
    </Card>
  )
}
