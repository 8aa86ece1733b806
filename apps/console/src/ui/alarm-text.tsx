import type { Alarm } from '@ringwall/contracts'
import { useTranslation } from 'react-i18next'

/** An alarm as a sentence, from its kind and params. */
export function AlarmText({ alarm }: { alarm: Alarm }) {
  const { t } = useTranslation()
  return (
    <span>
      {t(`alarm.kind.${alarm.kind}`, { hostname: alarm.hostname ?? '–', ...alarm.params })}
      {alarm.count > 1 && <span className="muted number"> ×{alarm.count}</span>}
    </span>
  )
}
