import type { EngineFinding } from '@ringwall/contracts'
import { useTranslation } from 'react-i18next'
import { SeverityTag } from './tags.tsx'

/** What each engine said, with the rule and the bytes that it matched. */
export function EngineEvidence({ findings }: { findings: EngineFinding[] }) {
  const { t } = useTranslation()
  return findings.map((engine) => (
    <div key={`${engine.engine}${engine.rule}`} style={{ marginBottom: 20 }}>
      <SeverityTag value={engine.severity} /> <strong>{engine.title}</strong>
      <div className="muted">
        {t('finding.byEngine', { engine: engine.engine })} <span className="mono">{engine.rule}</span>
      </div>
      {engine.description !== undefined && <p style={{ margin: '6px 0' }}>{engine.description}</p>}
      {engine.matches.length > 0 && (
        <div className="evidence">
          {engine.matches.map((match) => (
            <div
              key={`${match.offset}${match.identifier}`}
              style={{ display: 'grid', gridTemplateColumns: '110px 120px 1fr', gap: 12 }}
            >
              <span className="mono muted">0x{match.offset.toString(16).padStart(8, '0')}</span>
              <span className="mono">{match.identifier}</span>
              <code className="mono break">{match.excerpt}</code>
            </div>
          ))}
        </div>
      )}
    </div>
  ))
}
