import type { MachineEvent } from '@ringwall/contracts'
import type { TableColumnsType } from 'antd'
import i18next from 'i18next'
import { useTranslation } from 'react-i18next'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { formatTime } from '../../ui/format.ts'
import { EmptyState } from '../../ui/states.tsx'

/** A type that this console does not know yet is shown as it is. */
function eventName(type: string): string {
  const key = `event.${type.replaceAll('.', '_')}`
  return i18next.exists(key) ? i18next.t(key as never) : type
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** The few words of an event's body that tell it from the next one. */
function eventDetail({ type, body }: MachineEvent): string {
  const finding = body.finding as Record<string, unknown> | undefined
  if (finding !== undefined) return text(finding.path)
  if (type === 'scan.ended') return `${text(body.outcome)} ${text(body.errorCode)}`
  return ['path', 'state', 'code', 'reason', 'evidence', 'count', 'errorCode']
    .map((name) => text(body[name]))
    .filter((part) => part !== '')
    .join(' · ')
}

/** What happened on a machine, newest first; gaps in the record are lines of their own. */
export function MachineHistory({ machineId }: { machineId: string }) {
  const { t } = useTranslation()
  const columns: TableColumnsType<MachineEvent> = [
    {
      title: t('common.time'),
      key: 'at',
      width: 190,
      render: (_, event) => <span className="number">{formatTime(event.at)}</span>,
    },
    { title: t('machine.event'), key: 'type', width: 220, render: (_, event) => eventName(event.type) },
    {
      title: t('machine.eventDetail'),
      key: 'detail',
      render: (_, event) => <span className="mono break">{eventDetail(event)}</span>,
    },
  ]
  return (
    <CursorTable<MachineEvent>
      list="listMachineEvents"
      label={t('machine.history')}
      params={{ id: machineId }}
      columns={columns}
      rowKey={(event) => event.id}
      empty={<EmptyState text={t('machine.noHistory')} />}
      pageSize={15}
    />
  )
}
