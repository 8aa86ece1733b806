import { useTranslation } from 'react-i18next'
import { formatNumber, formatTime } from './format.ts'

const widthPx = 640
const heightPx = 130
const padPx = 18

type Point = { at: string; value: number }

/** A path that holds each value until the next moment. */
function stepPath(points: Point[], fromMs: number, toMs: number, peak: number): string {
  const x = (at: string) =>
    padPx + ((Date.parse(at) - fromMs) / Math.max(1, toMs - fromMs)) * (widthPx - 2 * padPx)
  const y = (value: number) => heightPx - padPx - (value / Math.max(1, peak)) * (heightPx - 2 * padPx)
  const [first] = points
  if (first === undefined) return ''
  return points.reduce(
    (path, point) => `${path} H ${x(point.at).toFixed(1)} V ${y(point.value).toFixed(1)}`,
    `M ${x(first.at).toFixed(1)} ${y(first.value).toFixed(1)}`,
  )
}

/** How a number stood over time; `end` marks a moment that matters, such as the end of a window. */
export function StepChart({ label, points, end }: { label: string; points: Point[]; end: string | null }) {
  const { t } = useTranslation()
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined) return null
  const fromMs = Date.parse(first.at)
  const toMs = Math.max(Date.parse(last.at), end === null ? 0 : Date.parse(end))
  const peak = Math.max(...points.map(({ value }) => value))
  const endX =
    end === null
      ? null
      : padPx + ((Date.parse(end) - fromMs) / Math.max(1, toMs - fromMs)) * (widthPx - 2 * padPx)
  return (
    <figure style={{ margin: 0 }}>
      <svg viewBox={`0 0 ${widthPx} ${heightPx}`} role="img" aria-label={label} style={{ width: '100%' }}>
        <line
          x1={padPx}
          x2={widthPx - padPx}
          y1={heightPx - padPx}
          y2={heightPx - padPx}
          stroke="currentColor"
          opacity={0.2}
        />
        {endX !== null && (
          <line
            x1={endX}
            x2={endX}
            y1={padPx / 2}
            y2={heightPx - padPx}
            stroke="var(--ant-color-warning)"
            strokeDasharray="4 4"
          />
        )}
        <path
          d={`${stepPath(points, fromMs, toMs, peak)} V ${heightPx - padPx} H ${padPx} Z`}
          fill="var(--ant-color-primary)"
          fillOpacity={0.15}
          stroke="var(--ant-color-primary)"
          strokeWidth={1.5}
        />
      </svg>
      <figcaption className="muted number" style={{ display: 'flex', justifyContent: 'space-between' }}>
        <span>{formatTime(first.at)}</span>
        <span>{t('slot.peakValue', { peak: formatNumber(peak) })}</span>
        <span>{formatTime(new Date(toMs).toISOString())}</span>
      </figcaption>
    </figure>
  )
}
