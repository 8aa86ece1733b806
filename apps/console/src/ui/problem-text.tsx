import { AppError, type ErrorCode, errorCatalog } from '@ringwall/contracts'
import { useTranslation } from 'react-i18next'
import { errorToText } from './error-text.ts'

const known = [
  'no_scanner',
  'cap_memory',
  'cap_cpu',
  'cap_tasks',
  'disk_full',
  'xattr_unavailable',
  'ionice_unavailable',
  'spool_dropping',
  'content_invalid',
  'desired_state_refused',
  'realtime_unavailable',
  'realtime_unjudged',
] as const
type Known = (typeof known)[number]
const isKnown = (code: string): code is Known => (known as readonly string[]).includes(code)

/** What a problem code of an agent or scanner means; the code itself stays visible for a search. */
export function ProblemText({ code }: { code: string }) {
  const { t } = useTranslation()
  const text = isKnown(code)
    ? t(`problem.${code}`)
    : code in errorCatalog
      ? errorToText(new AppError(code as ErrorCode))
      : t('problem.other')
  return (
    <>
      {text} <span className="mono muted">{code}</span>
    </>
  )
}
