import type { Alarm, Finding, Machine, QuarantineItem, Scan } from '@ringwall/contracts'
import { Badge, Tag } from 'antd'
import { useTranslation } from 'react-i18next'

type Tone = 'success' | 'warning' | 'error' | 'processing' | 'default'

const protectionTone: Record<Machine['protection'], Tone> = {
  protected: 'success',
  degraded: 'warning',
  unreachable: 'error',
}
const linkTone: Record<Machine['linkState'], Tone> = { online: 'success', offline: 'error', never: 'default' }
const scanTone: Record<Scan['state'], Tone> = {
  queued: 'default',
  running: 'processing',
  completed: 'success',
  cancelled: 'default',
  failed: 'error',
}
const findingTone: Record<Finding['state'], Tone> = {
  reported: 'warning',
  held: 'warning',
  quarantined: 'success',
  restored: 'default',
  deleted: 'default',
  allowed: 'default',
  gone: 'default',
  failed: 'error',
}
const quarantineTone: Record<QuarantineItem['state'], Tone> = {
  stored: 'success',
  restoring: 'processing',
  restored: 'default',
  deleting: 'processing',
  deleted: 'default',
}
const alarmTone: Record<Alarm['severity'], Tone> = {
  info: 'processing',
  warning: 'warning',
  critical: 'error',
}

/** States are never told by color alone: the word stands beside the dot. */
export function ProtectionTag({ value }: { value: Machine['protection'] }) {
  const { t } = useTranslation()
  return <Badge status={protectionTone[value]} text={t(`machine.protection.${value}`)} />
}

export function LinkTag({ value }: { value: Machine['linkState'] }) {
  const { t } = useTranslation()
  return <Badge status={linkTone[value]} text={t(`machine.link.${value}`)} />
}

export function ScanStateTag({ value }: { value: Scan['state'] }) {
  const { t } = useTranslation()
  return <Badge status={scanTone[value]} text={t(`scan.state.${value}`)} />
}

export function FindingStateTag({ value }: { value: Finding['state'] }) {
  const { t } = useTranslation()
  return <Badge status={findingTone[value]} text={t(`finding.state.${value}`)} />
}

export function QuarantineStateTag({ value }: { value: QuarantineItem['state'] }) {
  const { t } = useTranslation()
  return <Badge status={quarantineTone[value]} text={t(`quarantine.state.${value}`)} />
}

export function SeverityTag({ value }: { value: Finding['severity'] }) {
  const { t } = useTranslation()
  return <Tag color={value === 'malicious' ? 'error' : 'warning'}>{t(`finding.severity.${value}`)}</Tag>
}

export function AlarmSeverityTag({ value }: { value: Alarm['severity'] }) {
  const { t } = useTranslation()
  return <Badge status={alarmTone[value]} text={t(`alarm.severity.${value}`)} />
}
