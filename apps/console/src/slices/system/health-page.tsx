import type { Scanner } from '@ringwall/contracts'
import { createLazyRoute } from '@tanstack/react-router'
import { Badge, Card, Descriptions, type TableColumnsType } from 'antd'
import i18next from 'i18next'
import { useTranslation } from 'react-i18next'
import { useApi } from '../../app/api.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { formatBytes, formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { ProblemText } from '../../ui/problem-text.tsx'
import { EmptyState, Loaded } from '../../ui/states.tsx'
import { LinkTag } from '../../ui/tags.tsx'
import { MonoText, TimeText } from '../../ui/texts.tsx'

const tone = { ok: 'success', degraded: 'warning', down: 'error' } as const

function componentName(name: string): string {
  const key = `health.component.${name}`
  return i18next.exists(key) ? i18next.t(key as never) : name
}

function hitRate({ lookups, hits }: { lookups: number; hits: number }): string {
  return lookups === 0 ? '–' : `${((100 * hits) / lookups).toFixed(1)} %`
}

function Scanners() {
  const { t } = useTranslation()
  const columns: TableColumnsType<Scanner> = [
    { title: t('health.scanner'), key: 'name', render: (_, scanner) => <strong>{scanner.name}</strong> },
    {
      title: t('machine.linkState'),
      key: 'link',
      render: (_, scanner) => <LinkTag value={scanner.linkState} />,
    },
    {
      title: t('machine.addresses'),
      key: 'addresses',
      render: (_, scanner) => (
        <MonoText text={scanner.addresses.map(({ host, port }) => `${host}:${port}`).join(', ')} />
      ),
    },
    {
      title: t('health.content'),
      key: 'content',
      render: (_, scanner) => (
        <>
          <MonoText text={scanner.health?.contentVersion ?? '–'} />
          <div className="muted number">
            {scanner.health &&
              t('health.rules', {
                rules: formatNumber(scanner.health.rules),
                hashes: formatNumber(scanner.health.hashes),
              })}
          </div>
        </>
      ),
    },
    {
      title: t('health.cache'),
      key: 'cache',
      render: (_, scanner) =>
        scanner.health && (
          <span className="number">
            {t('health.cacheValue', {
              entries: formatNumber(scanner.health.cacheEntries),
              rate: hitRate(scanner.health),
            })}
          </span>
        ),
    },
    {
      title: t('health.workers'),
      key: 'workers',
      render: (_, scanner) =>
        scanner.health && (
          <span className="number">
            {t('health.workersValue', { ...scanner.health.workers, queue: scanner.health.queueLength })}
          </span>
        ),
    },
    {
      title: t('health.memory'),
      key: 'memory',
      render: (_, scanner) =>
        scanner.health && <span className="number">{formatBytes(scanner.health.rssBytes)}</span>,
    },
    {
      title: t('health.problems'),
      key: 'problems',
      render: (_, scanner) =>
        scanner.health?.problems.map((code) => (
          <div key={code}>
            <ProblemText code={code} />
          </div>
        )),
    },
    {
      title: t('machine.lastSeen'),
      key: 'seen',
      render: (_, scanner) => <TimeText at={scanner.lastSeenAt} />,
    },
  ]
  return (
    <CursorTable<Scanner>
      list="listScanners"
      label={t('health.scanners')}
      columns={columns}
      rowKey={(scanner) => scanner.id}
      empty={<EmptyState text={t('health.noScanner')} />}
    />
  )
}

function HealthPage() {
  const { t } = useTranslation()
  const health = useApi('getHealth', {}, { refetchInterval: 5_000 })
  const about = useApi('getAbout', {})
  return (
    <Page title={t('menu.health')} lead={t('health.lead')}>
      <div className="grid grid-2" style={{ marginBottom: 16 }}>
        <Card title={t('health.parts')}>
          <Loaded query={health}>
            {({ components, figures }) => (
              <>
                {components.map((component) => (
                  <div
                    key={component.name}
                    style={{ display: 'flex', justifyContent: 'space-between', padding: '5px 0' }}
                  >
                    <span>{componentName(component.name)}</span>
                    <span>
                      {component.code !== null && (
                        <span className="muted" style={{ marginInlineEnd: 10 }}>
                          <ProblemText code={component.code} />
                        </span>
                      )}
                      <Badge status={tone[component.state]} text={t(`health.state.${component.state}`)} />
                    </span>
                  </div>
                ))}
                <Descriptions column={2} size="small" style={{ marginTop: 14 }}>
                  <Descriptions.Item label={t('health.connected')}>
                    {formatNumber(figures.connectedAgents)}
                  </Descriptions.Item>
                  <Descriptions.Item label={t('health.memory')}>
                    {formatBytes(figures.rssBytes)}
                  </Descriptions.Item>
                  <Descriptions.Item label={t('health.events')}>
                    {formatNumber(figures.eventsCommitted)}
                  </Descriptions.Item>
                  <Descriptions.Item label={t('health.eventRate')}>
                    {figures.eventsPerSecond.toFixed(1)}/s
                  </Descriptions.Item>
                  <Descriptions.Item label={t('health.unknown')}>
                    {formatNumber(figures.unknownMessages)}
                  </Descriptions.Item>
                  <Descriptions.Item label={t('health.refused')}>
                    {formatNumber(figures.refusedConnections)}
                  </Descriptions.Item>
                </Descriptions>
              </>
            )}
          </Loaded>
        </Card>
        <Card title={t('health.about')}>
          <Loaded query={about}>
            {(facts) => (
              <Descriptions column={1} size="small" styles={{ label: { width: 140 } }}>
                <Descriptions.Item
                  label={t('machine.version')}
                >{`${facts.name} ${facts.version}`}</Descriptions.Item>
                <Descriptions.Item label={t('health.startedAt')}>
                  <TimeText at={facts.startedAt} />
                </Descriptions.Item>
                <Descriptions.Item label="Node.js">{facts.node}</Descriptions.Item>
                <Descriptions.Item label={t('health.database')}>
                  {`PostgreSQL ${facts.database.version} · ${t(facts.database.isManaged ? 'health.managed' : 'health.external')}`}
                  {facts.database.isEvaluation && ` · ${t('health.evaluation')}`}
                </Descriptions.Item>
                <Descriptions.Item label={t('health.content')}>
                  <MonoText text={facts.contentVersion ?? '–'} />
                </Descriptions.Item>
                <Descriptions.Item label={t('enrol.caHash')}>
                  <MonoText text={facts.caHash} />
                </Descriptions.Item>
              </Descriptions>
            )}
          </Loaded>
        </Card>
      </div>
      <h2 style={{ fontSize: 16 }}>{t('health.scanners')}</h2>
      <Scanners />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/health')({ component: HealthPage })
