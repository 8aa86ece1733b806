import type { NodeCounts } from '@ringwall/contracts'
import { Link } from '@tanstack/react-router'
import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'
import { formatNumber } from '../../ui/format.ts'

/** How much of a node is protected, as a bar with its figures; each figure opens what it counts. */
export function CountsBar({
  counts,
  search,
}: {
  counts: NodeCounts
  /** The filter that selects this node's assets. */
  search: Record<string, string>
}) {
  const { t } = useTranslation()
  const running = counts.protected + counts.unprotected
  const share = (value: number) => (running === 0 ? 0 : (100 * value) / running)
  return (
    <div className="counts">
      <Tooltip
        title={t('asset.countsTitle', {
          protected: formatNumber(counts.protected),
          unprotected: formatNumber(counts.unprotected),
          templates: formatNumber(counts.templates),
        })}
      >
        <div className="counts-bar" aria-hidden="true">
          <i className="good" style={{ width: `${share(counts.protected)}%` }} />
          <i className="open" style={{ width: `${share(counts.unprotected)}%` }} />
        </div>
      </Tooltip>
      <span className="number counts-figures">
        <Link to="/assets" search={{ ...search, isProtected: 'true' } as never}>
          {formatNumber(counts.protected)}
        </Link>
        <span className="muted"> / </span>
        <Link to="/assets" search={search as never}>
          {formatNumber(running)}
        </Link>
      </span>
    </div>
  )
}
