import type { MachineDetail } from '@ringwall/contracts'
import { createLazyRoute, Link, useNavigate, useParams } from '@tanstack/react-router'
import { Alert, App, Button, Card, Descriptions, Popconfirm, Select, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { formatBytes, formatNumber } from '../../ui/format.ts'
import { Page } from '../../ui/page.tsx'
import { ProblemText } from '../../ui/problem-text.tsx'
import { StartScanDialog } from '../../ui/start-scan-dialog.tsx'
import { Loaded } from '../../ui/states.tsx'
import { LinkTag, ProtectionTag } from '../../ui/tags.tsx'
import { EvidenceText, MonoText, TimeText } from '../../ui/texts.tsx'
import { MachineHistory } from './machine-history.tsx'
import { RealtimeCard } from './realtime-card.tsx'

function Identity({ machine }: { machine: MachineDetail }) {
  const { t } = useTranslation()
  const { facts } = machine
  return (
    <Card title={t('machine.identity')}>
      <Descriptions column={1} size="small" styles={{ label: { width: 150 } }}>
        <Descriptions.Item label={t('machine.os')}>{facts.os.name}</Descriptions.Item>
        <Descriptions.Item label={t('machine.kernel')}>
          <MonoText text={`${facts.os.kernel} ${facts.os.architecture}`} />
        </Descriptions.Item>
        <Descriptions.Item label="CPU">
          {facts.cpu.count} × {facts.cpu.model}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.memory')}>{formatBytes(facts.memoryBytes)}</Descriptions.Item>
        <Descriptions.Item label={t('machine.pool')}>
          {t(`machine.pools.${machine.pool}`)}{' '}
          <span className="muted">({facts.poolEvidence.join(', ') || '–'})</span>
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.addresses')}>
          <div>
            {facts.addresses.map((address) => (
              <div key={`${address.interface}${address.address}`} className="mono">
                {address.address} <span className="muted">{address.interface}</span>
              </div>
            ))}
          </div>
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.id')}>
          <MonoText text={machine.id} />
        </Descriptions.Item>
        {machine.asset !== null && (
          <Descriptions.Item label={t('machine.asset')}>
            <div>
              <Link to="/assets/$id" params={{ id: machine.asset.id }}>
                {machine.asset.name}
              </Link>{' '}
              <span className="muted">
                {[machine.asset.host?.name, machine.asset.platform.name].filter((name) => name).join(' · ')}
              </span>
              <div className="muted">{t('asset.joinedBy', { evidence: machine.asset.evidence })}</div>
            </div>
          </Descriptions.Item>
        )}
        {machine.lineage !== null && (
          <Descriptions.Item label={t('machine.clonedFrom')}>
            <Link to="/machines/$id" params={{ id: machine.lineage.parentId }}>
              {machine.lineage.parentHostname ?? machine.lineage.parentId}
            </Link>
            <span className="muted">
              &nbsp;(
              <EvidenceText evidence={machine.lineage.evidence} />)
            </span>
          </Descriptions.Item>
        )}
        {machine.clones.length > 0 && (
          <Descriptions.Item label={t('machine.clones')}>
            <div>
              {machine.clones.map((clone) => (
                <div key={clone.id}>
                  <Link to="/machines/$id" params={{ id: clone.id }}>
                    {clone.hostname}
                  </Link>{' '}
                  <TimeText at={clone.at} />
                </div>
              ))}
              <Link to="/lineage" search={{ search: machine.hostname } as never}>
                {t('machine.allClones', {
                  count: machine.cloneCount,
                  formatted: formatNumber(machine.cloneCount),
                })}
              </Link>
            </div>
          </Descriptions.Item>
        )}
      </Descriptions>
    </Card>
  )
}

type AgentUse = NonNullable<MachineDetail['agent']>

function ModuleLines({ modules }: { modules: AgentUse['modules'] }) {
  const { t } = useTranslation()
  return (
    <div>
      {modules.map(({ module, cpuPercent, memoryBytes, eventsPerSecond }) => (
        <div key={module}>
          {t('machine.moduleValue', {
            module: t(`machine.module.${module}`),
            cpu: cpuPercent.toFixed(1),
            memory: memoryBytes === null ? '–' : formatBytes(memoryBytes),
            events: eventsPerSecond.toFixed(1),
          })}
        </div>
      ))}
    </div>
  )
}

/** What the system holds the agent to; why one bites is among the machine's problems. */
function CapLines({ caps }: { caps: NonNullable<AgentUse['caps']> }) {
  const { t } = useTranslation()
  const size = (bytes: number | null) => (bytes === null ? t('machine.noLimit') : formatBytes(bytes))
  return (
    <div>
      <div>
        {t('machine.capsMemory', {
          used: formatBytes(caps.memoryBytes),
          peak: caps.memoryPeakBytes === null ? '–' : formatBytes(caps.memoryPeakBytes),
          high: size(caps.memoryHighBytes),
          max: size(caps.memoryMaxBytes),
        })}
      </div>
      <div>
        {caps.cpuLimitPercent === null
          ? t('machine.noLimit')
          : t('machine.capsCpu', { limit: caps.cpuLimitPercent, ms: caps.cpuThrottledMs })}
      </div>
      <div>{t('machine.capsShares', { cpu: caps.cpuWeight ?? '–', io: caps.ioWeight ?? '–' })}</div>
      {caps.tasksMax !== null && (
        <div>{t('machine.capsTasks', { limit: caps.tasksMax, refused: caps.tasksRefused })}</div>
      )}
      {caps.memoryHighEvents + caps.memoryKills > 0 && (
        <div className="muted">
          {t('machine.capsEvents', { high: caps.memoryHighEvents, kills: caps.memoryKills })}
        </div>
      )}
      <span className="mono muted">{caps.cgroup}</span>
    </div>
  )
}

function AgentCard({ machine }: { machine: MachineDetail }) {
  const { t } = useTranslation()
  const { agent, certificate } = machine
  return (
    <Card title={t('machine.agent')}>
      <Descriptions column={1} size="small" styles={{ label: { width: 150 } }}>
        <Descriptions.Item label={t('machine.linkState')}>
          <LinkTag value={machine.linkState} /> &nbsp;
          <TimeText at={machine.lastSeenAt} />
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.version')}>{machine.agentVersion ?? '–'}</Descriptions.Item>
        <Descriptions.Item label={t('machine.policyState')}>
          {machine.appliedVersion === machine.desiredVersion && machine.appliedErrorCode === null
            ? t('machine.converged', { version: machine.appliedVersion })
            : t('machine.drift', { desired: machine.desiredVersion, applied: machine.appliedVersion })}
          {machine.appliedErrorCode !== null && <Tag color="error">{machine.appliedErrorCode}</Tag>}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.usage')}>
          {agent === null ? '–' : `${formatBytes(agent.rssBytes)} · ${agent.cpuPercent.toFixed(1)} % CPU`}
        </Descriptions.Item>
        {agent !== null && agent.modules.length > 0 && (
          <Descriptions.Item label={t('machine.modules')}>
            <ModuleLines modules={agent.modules} />
          </Descriptions.Item>
        )}
        {agent?.caps != null && (
          <Descriptions.Item label={t('machine.caps')}>
            <CapLines caps={agent.caps} />
          </Descriptions.Item>
        )}
        <Descriptions.Item label={t('machine.spool')}>
          {agent === null
            ? '–'
            : t('machine.spoolValue', {
                records: agent.spoolRecords,
                bytes: formatBytes(agent.spoolBytes),
                dropped: agent.droppedRecords,
              })}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.certificate')}>
          {certificate === null ? (
            '–'
          ) : (
            <span>{t('machine.certificateValue', { date: certificate.notAfter.slice(0, 10) })}</span>
          )}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.enrolledAt')}>
          <TimeText at={machine.enrolledAt} />
        </Descriptions.Item>
      </Descriptions>
    </Card>
  )
}

function Labels({ machine }: { machine: MachineDetail }) {
  const { t } = useTranslation()
  const may = useMay()
  const update = useApiWrite('updateMachine', ['getMachine', 'listMachines'])
  if (!may('machines.write')) return machine.labels.map((label) => <Tag key={label}>{label}</Tag>)
  return (
    <Select
      mode="tags"
      style={{ minWidth: 260 }}
      aria-label={t('machine.labels')}
      placeholder={t('machine.labels')}
      value={machine.labels}
      open={false}
      suffixIcon={null}
      onChange={(labels: string[]) => update.mutate({ params: { id: machine.id }, body: { labels } })}
    />
  )
}

function MachinePage() {
  const { t } = useTranslation()
  const may = useMay()
  const navigate = useNavigate()
  const { message } = App.useApp()
  const { id = '' }: { id?: string } = useParams({ strict: false })
  const query = useApi('getMachine', { params: { id } }, { refetchInterval: 15_000 })
  const [isScanOpen, setIsScanOpen] = useState(false)
  const remove = useApiWrite('removeMachine', ['listMachines', 'getOverview'], () => {
    void message.success(t('machine.removed'))
    void navigate({ to: '/machines', search: {} as never })
  })
  return (
    <Loaded query={query}>
      {({ machine }) => (
        <Page
          title={machine.hostname}
          lead={<ProtectionTag value={machine.protection} />}
          actions={
            <>
              <Labels machine={machine} />
              {may('machines.remove') && (
                <Popconfirm
                  title={t('machine.removeTitle', { hostname: machine.hostname })}
                  description={t('machine.removeText')}
                  okText={t('machine.remove')}
                  onConfirm={() => remove.mutate({ params: { id } })}
                >
                  <Button danger>{t('machine.remove')}</Button>
                </Popconfirm>
              )}
              {may('scans.run') && (
                <Button type="primary" onClick={() => setIsScanOpen(true)}>
                  {t('scan.start')}
                </Button>
              )}
            </>
          }
        >
          {machine.problems.length > 0 && (
            <Alert
              type="warning"
              showIcon
              style={{ marginBottom: 16 }}
              title={t('machine.degradedBy')}
              description={machine.problems.map((code) => (
                <div key={code}>
                  <ProblemText code={code} />
                </div>
              ))}
            />
          )}
          <div className="grid grid-2" style={{ marginBottom: 16 }}>
            <Identity machine={machine} />
            <AgentCard machine={machine} />
          </div>
          {machine.agent?.realtime != null && (
            <div style={{ marginBottom: 16 }}>
              <RealtimeCard realtime={machine.agent.realtime} />
            </div>
          )}
          <div style={{ display: 'flex', gap: 10, marginBottom: 16, flexWrap: 'wrap' }}>
            <Link to="/findings" search={{ machineId: id, isOpen: 'true' } as never}>
              <Button>{t('machine.findingsLink', { count: machine.openFindings })}</Button>
            </Link>
            <Link to="/quarantine" search={{ machineId: id } as never}>
              <Button>{t('menu.quarantine')}</Button>
            </Link>
            <Link to="/scans" search={{ machineId: id } as never}>
              <Button>{t('menu.scans')}</Button>
            </Link>
            <Link to="/alarms" search={{ machineId: id } as never}>
              <Button>{t('menu.alarms')}</Button>
            </Link>
          </div>
          <h2 style={{ fontSize: 16 }}>{t('machine.history')}</h2>
          <MachineHistory machineId={id} />
          <StartScanDialog machineIds={[id]} isOpen={isScanOpen} onClose={() => setIsScanOpen(false)} />
        </Page>
      )}
    </Loaded>
  )
}

export const lazyRoute = createLazyRoute('/machines/$id')({ component: MachinePage })
