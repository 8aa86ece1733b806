import { CheckCircleOutlined, RightOutlined } from '@ant-design/icons'
import type { Overview } from '@ringwall/contracts'
import { Link, useNavigate } from '@tanstack/react-router'
import { Button, Card, List } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApi } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { AlarmText } from '../../ui/alarm-text.tsx'
import { FigureCard } from '../../ui/figure-card.tsx'
import { formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { ScanProgressLine } from '../../ui/scan-progress.tsx'
import { EmptyState, Loaded } from '../../ui/states.tsx'
import { AlarmSeverityTag, ScanStateTag } from '../../ui/tags.tsx'
import { TimeText } from '../../ui/texts.tsx'

type Need = Overview['needsMe'][number]['kind']
const needTarget: Record<Need, { to: string; search: Record<string, string> }> = {
  findings_held: { to: '/findings', search: { state: 'held' } },
  findings_failed: { to: '/findings', search: { state: 'failed' } },
  findings_reported: { to: '/findings', search: { state: 'reported' } },
  alarms_critical: { to: '/alarms', search: { state: 'open', severity: 'critical' } },
  machines_unreachable: { to: '/machines', search: { protection: 'unreachable' } },
  machines_degraded: { to: '/machines', search: { protection: 'degraded' } },
  no_scanner: { to: '/health', search: {} },
  no_machines: { to: '/enrol', search: {} },
}

function NeedsMe({ needs }: { needs: Overview['needsMe'] }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  return (
    <Card title={t('overview.needsMe')}>
      {needs.length === 0 ? (
        <p style={{ margin: 0 }}>
          <CheckCircleOutlined style={{ color: 'var(--ant-color-success)' }} /> {t('overview.nothing')}
        </p>
      ) : (
        needs.map(({ kind, count }) => (
          <Button
            key={kind}
            block
            type="text"
            style={{ height: 42, justifyContent: 'space-between' }}
            onClick={() =>
              void navigate({ to: needTarget[kind].to, search: needTarget[kind].search as never })
            }
          >
            <span>{t(`overview.need.${kind}`, { count, formatted: formatNumber(count) })}</span>
            <RightOutlined />
          </Button>
        ))
      )}
    </Card>
  )
}

function FindingsByDay({ days }: { days: Overview['findingsByDay'] }) {
  const { t } = useTranslation()
  const most = Math.max(1, ...days.map((day) => day.malicious + day.suspicious))
  return (
    <Card title={t('overview.byDay')}>
      <div className="bars" role="img" aria-label={t('overview.byDay')}>
        {days.map(({ day, malicious, suspicious }) => (
          <div key={day} title={t('overview.dayTitle', { day, malicious, suspicious })}>
            <i
              style={{
                height: `${(100 * suspicious) / most}%`,
                background: 'var(--ant-color-warning)',
                borderRadius: malicious > 0 ? '3px 3px 0 0' : '3px',
              }}
            />
            <i
              style={{
                height: `${(100 * malicious) / most}%`,
                background: 'var(--ant-color-error)',
                borderRadius: suspicious > 0 ? 0 : '3px 3px 0 0',
              }}
            />
            <i style={{ height: 2, background: 'rgba(128,150,150,.25)', borderRadius: 0 }} />
            <span>{day.slice(5)}</span>
          </div>
        ))}
      </div>
    </Card>
  )
}

function Figures({ overview }: { overview: Overview }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const { machines, findings, scans, alarms } = overview
  const open =
    (to: string, search: Record<string, string> = {}) =>
    () =>
      void navigate({ to, search: search as never })
  return (
    <div className="grid grid-4" style={{ marginBottom: 16 }}>
      <FigureCard
        label={t('overview.protected')}
        value={machines.protected}
        tone="good"
        detail={t('overview.ofMachines', { count: machines.total, formatted: formatNumber(machines.total) })}
        onOpen={open('/machines', { protection: 'protected' })}
      />
      <FigureCard
        label={t('overview.openFindings')}
        value={findings.open}
        {...(findings.open > 0 ? { tone: 'bad' as const } : {})}
        detail={t('overview.last24', { count: findings.last24Hours })}
        onOpen={open('/findings', { isOpen: 'true' })}
      />
      <FigureCard
        label={t('overview.quarantined')}
        value={findings.quarantined}
        detail={t('overview.held', { count: findings.held })}
        onOpen={open('/quarantine', { state: 'stored' })}
      />
      <FigureCard
        label={t('overview.alarms')}
        value={alarms.open}
        {...(alarms.critical > 0 ? { tone: 'bad' as const } : {})}
        detail={t('overview.runningScans', { count: scans.running })}
        onOpen={open('/alarms', { state: 'open' })}
      />
    </div>
  )
}

/** What is protected, what was found, what runs, and what needs a person now. */
export function OverviewPage() {
  const { t } = useTranslation()
  const may = useMay()
  const navigate = useNavigate()
  const query = useApi('getOverview', {}, { refetchInterval: 30_000 })
  return (
    <Page
      title={t('overview.title')}
      lead={t('overview.lead')}
      actions={
        may('machines.enrol') && (
          <Button type="primary" onClick={() => void navigate({ to: '/enrol' })}>
            {t('enrol.action')}
          </Button>
        )
      }
    >
      <Loaded query={query}>
        {(overview) => (
          <>
            <Figures overview={overview} />
            <div className="grid grid-main" style={{ marginBottom: 16 }}>
              <FindingsByDay days={overview.findingsByDay} />
              <NeedsMe needs={overview.needsMe} />
            </div>
            <div className="grid grid-2">
              <Card
                title={t('overview.latestScans')}
                extra={
                  <Link to="/scans" search={{} as never}>
                    {t('common.all')}
                  </Link>
                }
              >
                <List
                  dataSource={overview.scans.latest}
                  locale={{ emptyText: <EmptyState text={t('scan.empty')} /> }}
                  renderItem={(scan) => (
                    <List.Item>
                      <div>
                        <Link to="/scans/$id" params={{ id: scan.id }}>
                          {scan.paths.length === 0 ? (
                            t('scan.wholeMachine')
                          ) : (
                            <span className="mono break">{scan.paths.join(', ')}</span>
                          )}
                        </Link>
                        <div className="muted">
                          {t('scan.machines', { count: scan.machines })} · <TimeText at={scan.createdAt} />
                        </div>
                        <ScanProgressLine progress={scan.progress} state={scan.state} />
                      </div>
                      <ScanStateTag value={scan.state} />
                    </List.Item>
                  )}
                />
              </Card>
              <Card
                title={t('overview.latestAlarms')}
                extra={
                  <Link to="/alarms" search={{} as never}>
                    {t('common.all')}
                  </Link>
                }
              >
                <List
                  dataSource={overview.alarms.latest}
                  locale={{ emptyText: <EmptyState text={t('alarm.empty')} /> }}
                  renderItem={(alarm) => (
                    <List.Item>
                      <div className="break">
                        <AlarmText alarm={alarm} />
                        <div className="muted">
                          {alarm.hostname ?? '–'} · <TimeText at={alarm.lastAt} />
                        </div>
                      </div>
                      <AlarmSeverityTag value={alarm.severity} />
                    </List.Item>
                  )}
                />
              </Card>
            </div>
          </>
        )}
      </Loaded>
    </Page>
  )
}
