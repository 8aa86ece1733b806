import { Button } from 'antd'
import { type ReactNode, useEffect } from 'react'
import { useTranslation } from 'react-i18next'
import { currentLanguage, setLanguage } from '../../app/i18n.ts'

/** The page around sign-in and first password: what this is on the left, the form on the right. */
export function SignInFrame({
  title,
  lead,
  children,
}: {
  title: string
  lead?: string
  children: ReactNode
}) {
  const { t } = useTranslation()
  useEffect(() => {
    document.title = `${title} · Ringwall 环墙`
  }, [title])
  const other = currentLanguage() === 'en' ? 'zh-CN' : 'en'
  return (
    <div className="sign-in">
      <section className="sign-in-art">
        <svg className="sign-in-rings" viewBox="0 0 200 200" fill="none" aria-hidden="true">
          <circle
            cx="100"
            cy="100"
            r="92"
            stroke="#12806a"
            strokeWidth="5"
            strokeDasharray="470 108"
            transform="rotate(-60 100 100)"
          />
          <circle
            cx="100"
            cy="100"
            r="68"
            stroke="#2fb894"
            strokeWidth="5"
            strokeDasharray="340 88"
            transform="rotate(30 100 100)"
          />
          <circle
            cx="100"
            cy="100"
            r="44"
            stroke="#7fd6bf"
            strokeWidth="5"
            strokeDasharray="220 57"
            transform="rotate(140 100 100)"
          />
          <circle cx="100" cy="100" r="13" fill="#e8a33d" />
        </svg>
        <div style={{ display: 'flex', alignItems: 'center', gap: 12, fontSize: 20, fontWeight: 650 }}>
          <img src="/ringwall.svg" width={38} height={38} alt="" /> Ringwall 环墙
        </div>
        <div>
          <h2>{t('signIn.claim')}</h2>
          <p>{t('signIn.lead')}</p>
        </div>
      </section>
      <section className="sign-in-form">
        <div>
          <div
            style={{
              display: 'flex',
              justifyContent: 'space-between',
              alignItems: 'baseline',
              marginBottom: 22,
            }}
          >
            <h1 style={{ fontSize: 24, margin: 0 }}>{title}</h1>
            <Button type="link" onClick={() => void setLanguage(other)}>
              {other === 'en' ? 'English' : '中文'}
            </Button>
          </div>
          {lead !== undefined && <p className="muted">{lead}</p>}
          {children}
        </div>
      </section>
    </div>
  )
}
