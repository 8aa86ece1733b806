import { type PlatformWarning, platformWarningText } from '@ringwall/contracts'
import { Alert } from 'antd'
import { currentLanguage } from '../../app/i18n.ts'

/** What the check of a platform would have the operator know, each on its own. */
export function PlatformWarnings({ warnings }: { warnings: PlatformWarning[] }) {
  return warnings.map((warning) => {
    const text = platformWarningText(warning, currentLanguage())
    return <Alert key={text} type="warning" showIcon title={text} style={{ marginBlock: 10 }} />
  })
}
