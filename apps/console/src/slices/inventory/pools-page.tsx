import type { PoolSummary } from '@ringwall/contracts'
import { createLazyRoute, Link, useNavigate } from '@tanstack/react-router'
import { Card } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApi } from '../../app/api.ts'
import { FigureCard } from '../../ui/figure-card.tsx'
import { formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { Loaded } from '../../ui/states.tsx'
import { CountsBar } from './counts.tsx'

function PoolCard({ summary }: { summary: PoolSummary }) {
  const { t } = useTranslation()
  const { pool } = summary
  return (
    <Card
      title={t(`pool.title.${pool}`)}
      extra={<CountsBar counts={summary.counts} search={{ pool }} />}
      style={{ marginBottom: 16 }}
    >
      {summary.agentOnly > 0 && (
        <p>
          <Link to="/machines" search={{ pool } as never}>
            {t('pool.agentOnly', { count: summary.agentOnly, formatted: formatNumber(summary.agentOnly) })}
          </Link>
        </p>
      )}
      {summary.platforms.map((platform) => (
        <div key={platform.id} className="pool-row">
          <div className="pool-line">
            <Link to="/platforms/$id" params={{ id: platform.id }}>
              <strong>{platform.name}</strong>
            </Link>
            <CountsBar counts={platform.counts} search={{ pool, platformId: platform.id }} />
          </div>
          {platform.clusters.map((cluster) => (
            <div key={cluster.id} className="pool-line pool-child">
              <Link to="/topology" search={{ clusterId: cluster.id } as never}>
                {cluster.name}
              </Link>
              <CountsBar
                counts={cluster.counts}
                search={{ pool, platformId: platform.id, clusterId: cluster.id }}
              />
            </div>
          ))}
        </div>
      ))}
    </Card>
  )
}

function PoolsPage() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const query = useApi('listPools', {})
  return (
    <Page title={t('menu.pools')} lead={t('pool.lead')}>
      <Loaded query={query}>
        {({ pools }) => (
          <>
            <div className="grid grid-3" style={{ marginBottom: 16 }}>
              {pools.map(({ pool, counts, agentOnly }) => (
                <FigureCard
                  key={pool}
                  label={t(`pool.title.${pool}`)}
                  value={counts.total - counts.templates + agentOnly}
                  {...(counts.total + agentOnly === 0
                    ? {}
                    : { tone: counts.unprotected > 0 ? ('warn' as const) : ('good' as const) })}
                  detail={
                    counts.unprotected > 0 ? (
                      <Link to="/assets" search={{ pool, isProtected: 'false' } as never}>
                        {t('pool.unprotected', {
                          count: counts.unprotected,
                          formatted: formatNumber(counts.unprotected),
                        })}
                      </Link>
                    ) : (
                      t(counts.total + agentOnly === 0 ? 'pool.empty' : 'pool.allProtected')
                    )
                  }
                  onOpen={() => void navigate({ to: '/assets', search: { pool } as never })}
                />
              ))}
            </div>
            {pools
              .filter(({ counts, agentOnly }) => counts.total + agentOnly > 0)
              .map((summary) => (
                <PoolCard key={summary.pool} summary={summary} />
              ))}
          </>
        )}
      </Loaded>
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/pools')({ component: PoolsPage })
