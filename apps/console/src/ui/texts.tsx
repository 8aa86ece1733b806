import { CopyOutlined } from '@ant-design/icons'
import { App, Button, Tooltip, Typography } from 'antd'
import dayjs from 'dayjs'
import { useTranslation } from 'react-i18next'
import { formatTime } from './format.ts'

/** How long ago, with the exact time on hover. */
export function TimeText({ at }: { at: string | null }) {
  const { i18n } = useTranslation()
  if (at === null) return <span className="muted">–</span>
  const moment = dayjs(at).locale(i18n.language === 'en' ? 'en' : 'zh-cn')
  return (
    <Tooltip title={formatTime(at)}>
      <time dateTime={at} style={{ whiteSpace: 'nowrap' }}>
        {moment.fromNow()}
      </time>
    </Tooltip>
  )
}

/** A path or hash: monospaced, wraps anywhere, never interpreted. */
export function MonoText({ text, isShort = false }: { text: string; isShort?: boolean }) {
  return (
    <Typography.Text className="mono break" {...(isShort ? { ellipsis: { tooltip: text } } : {})}>
      {text}
    </Typography.Text>
  )
}

type EvidencePhrase = 'lineage.sameCertificate' | 'lineage.sealedTemplate' | 'lineage.likeManifest'
const evidencePhrases = new Map<string, EvidencePhrase>([
  ['same certificate', 'lineage.sameCertificate'],
  ['sealed template', 'lineage.sealedTemplate'],
  ['like manifest', 'lineage.likeManifest'],
])

/** What says that a machine was made from another: words of ours, or a platform's own name for it. */
export function EvidenceText({ evidence }: { evidence: string }) {
  const { t } = useTranslation()
  const phrase = evidencePhrases.get(evidence)
  return phrase === undefined ? evidence : t(phrase)
}

/** A line to paste elsewhere, with a copy button. */
export function CopyLine({ text }: { text: string }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    void message.success(t('common.copied'))
  }
  return (
    <div className="evidence" style={{ display: 'flex', gap: 10, alignItems: 'flex-start' }}>
      <code className="mono break" style={{ flex: 1 }}>
        {text}
      </code>
      <Button
        size="small"
        icon={<CopyOutlined />}
        aria-label={t('common.copy')}
        onClick={() => void copy()}
      />
    </div>
  )
}
