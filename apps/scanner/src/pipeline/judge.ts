import { type LookupCode, lookupCodes, type Verdict, type VerdictClass } from '@ringwall/contracts'
import type { Clock, Logger } from '@ringwall/runtime'
import type { Claims } from '../cache/claims.ts'
import type { VerdictStore } from '../cache/verdict-store.ts'
import type { EnginePool, JudgedContent, Judgement } from './pool.ts'

function classify({ findings, failed, reason }: Judgement): VerdictClass {
  if (findings.some(({ severity }) => severity === 'malicious')) return 'malicious'
  if (findings.length > 0) return 'suspicious'
  return reason !== undefined || failed.length > 0 ? 'partial' : 'clean'
}

export type JudgeOutcome = { code: LookupCode; verdict: Verdict | undefined }

/**
 * From content to durable verdict. Contents that are judged already share the one run: `isUnderWay` and `join` let
 * a second upload end without its bytes.
 */
export function createJudge(options: {
  pool: EnginePool
  store: VerdictStore
  claims: Claims
  contentVersion: () => string
  clock: Clock
  logger: Logger
  onStoreError: (error: unknown) => void
  onJudged: () => void
}) {
  const { pool, store, claims, clock, logger } = options
  const underWay = new Map<string, Promise<JudgeOutcome>>()

  async function run(hex: string, content: JudgedContent, sizeBytes: number): Promise<JudgeOutcome> {
    const contentVersion = options.contentVersion()
    const judgement = await pool.judge(content)
    const partialReason =
      judgement.reason ??
      (judgement.failed.length > 0
        ? `engine ${judgement.failed[0]?.engine}: ${judgement.failed[0]?.reason}`
        : undefined)
    const verdict: Verdict = {
      sha256: hex,
      sizeBytes,
      verdict: classify(judgement),
      contentVersion,
      judgedAt: new Date(clock.nowMs()).toISOString(),
      findings: judgement.findings,
      ...(partialReason === undefined ? {} : { reason: partialReason.slice(0, 300) }),
    }
    if (judgement.reason === 'scanner_stopping') return { code: lookupCodes.failed, verdict: undefined }
    try {
      await store.put(verdict)
      options.onJudged()
    } catch (error) {
      options.onStoreError(error)
      logger.error({ error }, 'a verdict could not be kept')
      return { code: lookupCodes.failed, verdict }
    }
    return { code: lookupCodes[verdict.verdict], verdict }
  }

  return {
    isUnderWay: (hex: string): boolean => underWay.has(hex),

    /** The run that is under way for a content. */
    join: (hex: string): Promise<JudgeOutcome> | undefined => underWay.get(hex),

    /** Registers an upload that has begun; `judged` must settle. */
    begin(hex: string, judged: Promise<JudgeOutcome>): void {
      underWay.set(hex, judged)
      const settle = () => {
        if (underWay.get(hex) === judged) underWay.delete(hex)
        claims.settle(hex)
      }
      judged.then(settle, settle)
    },

    /** Judges a content whose hash was verified. */
    judge: (content: JudgedContent, sizeBytes: number): Promise<JudgeOutcome> =>
      run(content.sha256.toString('hex'), content, sizeBytes),
  }
}
export type Judge = ReturnType<typeof createJudge>
