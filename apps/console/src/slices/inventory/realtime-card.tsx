import type { RealtimeFigures } from '@ringwall/contracts'
import { Card, Descriptions } from 'antd'
import { useTranslation } from 'react-i18next'

const reasons = ['new', 'gap', 'overflow', 'too_many', 'damaged', 'unavailable'] as const

/** What real-time protection of one machine did, and whether its journal of changes can be relied on. */
export function RealtimeCard({ realtime }: { realtime: RealtimeFigures }) {
  const { t, i18n } = useTranslation()
  const number = new Intl.NumberFormat(i18n.language)
  const reason = reasons.find((known) => known === realtime.journal.reason) ?? 'gap'
  return (
    <Card title={t('machine.realtime')}>
      <Descriptions column={1} size="small" styles={{ label: { width: 150 } }}>
        <Descriptions.Item label={t('machine.realtimeMode')}>
          {t(`policy.modes.${realtime.mode}`)}
        </Descriptions.Item>
        {realtime.problem !== null && (
          <Descriptions.Item label={t('machine.realtimeProblem')}>{realtime.problem}</Descriptions.Item>
        )}
        <Descriptions.Item label={t('machine.realtimeEvents')}>
          {t('machine.realtimeEventsValue', {
            events: number.format(realtime.events),
            known: number.format(realtime.fromTable),
          })}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.realtimeP99')}>
          {realtime.fromTable === 0 ? '–' : `${number.format(realtime.p99AnswerUs)} µs`}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.realtimeJudged')}>
          {number.format(realtime.judged)}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.realtimeDenied')}>
          {number.format(realtime.denied)}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.realtimeLate')}>
          {t('machine.realtimeLateValue', {
            unjudged: number.format(realtime.unjudged),
            timeouts: number.format(realtime.timeouts),
          })}
        </Descriptions.Item>
        <Descriptions.Item label={t('machine.journal')}>
          {realtime.journal.isComplete
            ? t('machine.journalComplete')
            : t('machine.journalGap', { reason: t(`machine.journalReasons.${reason}`) })}
        </Descriptions.Item>
      </Descriptions>
    </Card>
  )
}
