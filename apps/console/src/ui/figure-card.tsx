import { Card } from 'antd'
import type { ReactNode } from 'react'
import { formatNumber } from './format.ts'

/** A number that can be clicked down to what it counts. */
export function FigureCard({
  label,
  value,
  detail,
  tone,
  onOpen,
}: {
  label: string
  value: number
  detail?: ReactNode
  tone?: 'good' | 'warn' | 'bad'
  onOpen: () => void
}) {
  const color =
    tone === 'bad'
      ? 'var(--ant-color-error)'
      : tone === 'warn'
        ? 'var(--ant-color-warning)'
        : tone === 'good'
          ? 'var(--ant-color-primary)'
          : undefined
  return (
    <Card styles={{ body: { padding: '18px 22px' } }}>
      <button type="button" className="figure" onClick={onOpen}>
        <span className="muted">{label}</span>
        <strong style={color === undefined ? {} : { color }}>{formatNumber(value)}</strong>
      </button>
      <div className="muted" style={{ minHeight: 22 }}>
        {detail}
      </div>
    </Card>
  )
}
