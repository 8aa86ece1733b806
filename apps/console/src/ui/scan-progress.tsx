import type { ScanProgress, ScanState } from '@ringwall/contracts'
import { Progress } from 'antd'
import { useTranslation } from 'react-i18next'
import { formatBytes, formatDuration, formatNumber } from './format.ts'

/** Share done by time: elapsed against elapsed plus what is left; undefined while nothing can be said. */
export function donePercent(progress: ScanProgress): number | undefined {
  const { remainingSeconds, filesPerSecond, filesSeen } = progress
  if (remainingSeconds === null || filesPerSecond <= 0) return undefined
  const elapsedSeconds = filesSeen / filesPerSecond
  return Math.min(99, Math.floor((100 * elapsedSeconds) / (elapsedSeconds + remainingSeconds)))
}

/** One line of a running scan: rate, volume, time left. */
export function ScanProgressLine({ progress, state }: { progress: ScanProgress; state: ScanState }) {
  const { t } = useTranslation()
  const percent = state === 'completed' ? 100 : donePercent(progress)
  return (
    <div style={{ minWidth: 220 }}>
      {state === 'running' && (
        <Progress
          percent={percent ?? 100}
          showInfo={percent !== undefined}
          status="active"
          size="small"
          aria-label={t('scan.progress')}
        />
      )}
      <span className="number">
        {t('scan.files', { count: progress.filesJudged, formatted: formatNumber(progress.filesJudged) })} ·{' '}
        {formatBytes(progress.bytesHashed)}
      </span>
      {state === 'running' && (
        <span className="muted number">
          {' · '}
          {t('scan.rate', {
            files: formatNumber(Math.round(progress.filesPerSecond)),
            bytes: formatBytes(progress.bytesPerSecond),
          })}
          {progress.remainingSeconds !== null &&
            ` · ${t('scan.left', { time: formatDuration(progress.remainingSeconds) })}`}
          {(progress.throttledBy ?? []).length > 0 &&
            ` · ${t('scan.throttled', {
              reasons: (progress.throttledBy ?? []).map((reason) => t(`scan.throttle.${reason}`)).join(', '),
            })}`}
        </span>
      )}
    </div>
  )
}
