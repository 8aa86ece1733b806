const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `250ms`, `30s`, `5m`, `24h`, `7d` as whole milliseconds; undefined when it is none of these. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  if (match === null) return undefined
  const durationMs = Math.round(Number(match[1]) * (unitMs[match[2] ?? ''] ?? Number.NaN))
  return Number.isSafeInteger(durationMs) ? durationMs : undefined
}
