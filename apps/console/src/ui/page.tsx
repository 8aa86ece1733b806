import type { ReactNode } from 'react'
import { useEffect } from 'react'

/** The frame of every page: a title, a line of explanation, the actions. */
export function Page({
  title,
  lead,
  actions,
  children,
}: {
  title: string
  lead?: ReactNode
  actions?: ReactNode
  children: ReactNode
}) {
  useEffect(() => {
    document.title = `${title} · Ringwall 环墙`
  }, [title])
  return (
    <main className="page" id="content" tabIndex={-1} style={{ outline: 'none' }}>
      <div className="page-head">
        <div>
          <h1>{title}</h1>
          {lead !== undefined && <p className="muted">{lead}</p>}
        </div>
        <div style={{ display: 'flex', gap: 8, flexWrap: 'wrap' }}>{actions}</div>
      </div>
      {children}
    </main>
  )
}
