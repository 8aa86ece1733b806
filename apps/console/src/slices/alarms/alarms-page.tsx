import { type Alarm, alarmKinds } from '@ringwall/contracts'
import { createLazyRoute, Link } from '@tanstack/react-router'
import { Button, type TableColumnsType, Tag } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { useFilters } from '../../app/use-filters.ts'
import { AlarmText } from '../../ui/alarm-text.tsx'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { LinkedFilters, SelectFilter } from '../../ui/filters.tsx'
import { Page } from '../../ui/page.tsx'
import { EmptyState } from '../../ui/states.tsx'
import { AlarmSeverityTag } from '../../ui/tags.tsx'
import { TimeText } from '../../ui/texts.tsx'

function Actions({ alarm }: { alarm: Alarm }) {
  const { t } = useTranslation()
  const acknowledge = useApiWrite('acknowledgeAlarm', ['listAlarms', 'getOverview'])
  const close = useApiWrite('closeAlarm', ['listAlarms', 'getOverview'])
  return (
    <div style={{ display: 'flex', gap: 8 }}>
      {alarm.state === 'open' && (
        <Button
          size="small"
          loading={acknowledge.isPending}
          onClick={() => acknowledge.mutate({ params: { id: alarm.id } })}
        >
          {t('alarm.acknowledge')}
        </Button>
      )}
      {alarm.state !== 'closed' && (
        <Button
          size="small"
          loading={close.isPending}
          onClick={() => close.mutate({ params: { id: alarm.id } })}
        >
          {t('alarm.close')}
        </Button>
      )}
    </div>
  )
}

function AlarmsPage() {
  const { t } = useTranslation()
  const may = useMay()
  const [filters] = useFilters()
  const columns: TableColumnsType<Alarm> = [
    {
      title: t('alarm.severityTitle'),
      key: 'severity',
      width: 120,
      render: (_, alarm) => <AlarmSeverityTag value={alarm.severity} />,
    },
    {
      title: t('alarm.what'),
      key: 'what',
      render: (_, alarm) => (
        <span className="break">
          <AlarmText alarm={alarm} />
        </span>
      ),
    },
    {
      title: t('machine.hostname'),
      key: 'machine',
      render: (_, alarm) =>
        alarm.machineId === null ? (
          '–'
        ) : (
          <Link to="/machines/$id" params={{ id: alarm.machineId }}>
            {alarm.hostname ?? alarm.machineId}
          </Link>
        ),
    },
    {
      title: t('common.state'),
      key: 'state',
      render: (_, alarm) => (
        <>
          <Tag color={alarm.state === 'open' ? 'error' : 'default'}>{t(`alarm.state.${alarm.state}`)}</Tag>
          <span className="muted">{alarm.acknowledgedBy}</span>
        </>
      ),
    },
    { title: t('alarm.first'), key: 'first', render: (_, alarm) => <TimeText at={alarm.firstAt} /> },
    { title: t('alarm.last'), key: 'last', render: (_, alarm) => <TimeText at={alarm.lastAt} /> },
    { title: '', key: 'actions', render: (_, alarm) => may('alarms.write') && <Actions alarm={alarm} /> },
  ]
  return (
    <Page title={t('menu.alarms')} lead={t('alarm.lead')}>
      <div className="filters">
        <SelectFilter
          name="state"
          label={t('common.state')}
          options={(['open', 'acknowledged', 'closed'] as const).map((value) => ({
            value,
            label: t(`alarm.state.${value}`),
          }))}
        />
        <SelectFilter
          name="severity"
          label={t('alarm.severityTitle')}
          options={(['critical', 'warning', 'info'] as const).map((value) => ({
            value,
            label: t(`alarm.severity.${value}`),
          }))}
        />
        <SelectFilter
          name="kind"
          label={t('alarm.kindTitle')}
          options={alarmKinds.map((value) => ({ value, label: t(`alarm.kindName.${value}`) }))}
        />
        <LinkedFilters names={['machineId']} />
      </div>
      <CursorTable<Alarm>
        list="listAlarms"
        label={t('menu.alarms')}
        query={filters}
        columns={columns}
        rowKey={(alarm) => alarm.id}
        empty={<EmptyState text={t('alarm.empty')} />}
      />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/alarms')({ component: AlarmsPage })
