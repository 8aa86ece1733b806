/** Processor use of many processes over time, also of a part of the time only. */
import { readFileSync } from 'node:fs'

const sampleMs = 250
/** Of /proc/PID/stat; USER_HZ on every Linux that Node runs on. */
const ticksPerSecond = 100

export type Span = { fromMs: number; toMs: number }
type Step = Span & { usedSeconds: number }
/** Of one processor, in percent. */
export type Shares = { mean: number; peak: number }

/** Processor time of a process so far, in seconds; 0 when it is gone. */
export function cpuSecondsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  } catch {
    return 0
  }
}

const overlapMs = (a: Span, b: Span) => Math.max(0, Math.min(a.toMs, b.toMs) - Math.max(a.fromMs, b.fromMs))

/** Records each named process until it is stopped; `pidOf` tells which one it is now. Times are milliseconds since 1970. */
export function recordCpu(names: readonly string[], pidOf: (name: string) => number) {
  const steps = new Map<string, Step[]>(names.map((name) => [name, []]))
  const startedAtMs = Date.now()
  let before = new Map<number, number>()
  let atMs = startedAtMs
  const look = () => {
    const now = Date.now()
    const seen = new Map<number, number>()
    for (const name of names) {
      const pid = pidOf(name)
      const seconds = cpuSecondsOf(pid)
      seen.set(pid, seconds)
      const usedSeconds = Math.max(0, seconds - (before.get(pid) ?? seconds))
      steps.get(name)?.push({ fromMs: atMs, toMs: now, usedSeconds })
    }
    before = seen
    atMs = now
  }
  look()
  const timer = setInterval(look, sampleMs)

  return {
    stop: () => clearInterval(timer),
    /**
     * Mean use of a processor in percent, and the highest mean of `windowMs`: of all that was recorded, or of what
     * each process did within its own spans.
     */
    shares: (windowMs: number, spansOf?: (name: string) => readonly Span[]): Shares => {
      const perSample = new Float64Array(Math.ceil((atMs - startedAtMs) / sampleMs) + 1)
      let total = 0
      for (const [name, some] of steps)
        for (const step of some) {
          const lengthMs = Math.max(1, step.toMs - step.fromMs)
          const within = spansOf?.(name).reduce((sum, span) => sum + overlapMs(step, span), 0) ?? lengthMs
          const seconds = step.usedSeconds * (within / lengthMs)
          const index = Math.floor((step.fromMs - startedAtMs) / sampleMs)
          perSample[index] = (perSample[index] ?? 0) + seconds
          total += seconds
        }
      const size = Math.round(windowMs / sampleMs)
      let peak = 0
      for (let index = 0; index + size <= perSample.length; index += 1)
        peak = Math.max(
          peak,
          perSample.subarray(index, index + size).reduce((sum, seconds) => sum + seconds, 0),
        )
      return {
        mean: (total * 100_000) / Math.max(1, atMs - startedAtMs),
        peak: (peak * 100_000) / windowMs,
      }
    },
  }
}
