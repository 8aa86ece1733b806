import type { EngineFinding } from '@ringwall/contracts'

/** What is judged: bytes in memory, or a file that is too large for it. */
export type EngineContent = { kind: 'bytes'; bytes: Uint8Array } | { kind: 'file'; path: string }

export type EngineInput = {
  content: EngineContent
  sha256: string
  sizeBytes: number
  /** What the engines before this one found: engines hand each other what they find. */
  earlier: readonly EngineFinding[]
}

/**
 * A malware engine: content in, findings out; no state between contents. It runs in a process of its own that can
 * be killed, so it needs no timer, but it must keep its memory within bounds.
 */
export type Engine = {
  id: string
  /** Changes whenever the engine would judge differently. */
  version: string
  scan: (input: EngineInput) => EngineFinding[]
}

export type PipelineResult = {
  findings: EngineFinding[]
  /** Engines that failed on this content, with the reason: what they would have said is not known. */
  failed: { engine: string; reason: string }[]
}

const maxFindings = 64

/** Runs engines in order. One that fails leaves the others' findings standing. */
export function runPipeline(engines: readonly Engine[], input: Omit<EngineInput, 'earlier'>): PipelineResult {
  const findings: EngineFinding[] = []
  const failed: PipelineResult['failed'] = []
  for (const engine of engines) {
    try {
      findings.push(...engine.scan({ ...input, earlier: findings }))
    } catch (error) {
      failed.push({
        engine: engine.id,
        reason: error instanceof Error ? error.message.slice(0, 200) : 'unknown',
      })
    }
  }
  return { findings: findings.slice(0, maxFindings), failed }
}

const printable = /[\x20-\x5b\x5d-\x7e]/

/** Bytes as printable text, anything else as `\xNN`; at most `maxBytes` of them. */
export function excerptOf(bytes: Uint8Array, maxBytes = 64): string {
  let text = ''
  for (const byte of bytes.subarray(0, maxBytes)) {
    const character = String.fromCharCode(byte)
    text += printable.test(character)
      ? character
      : character === '\\'
        ? '\\\\'
        : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return text
}
