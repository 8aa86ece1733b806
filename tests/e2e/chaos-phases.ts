/** Where a scan is when a program is killed, told from what agent and scanner have on their disks. */
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  watch,
} from 'node:fs'
import { join } from 'node:path'
import type { Site } from './harness.ts'

export const phases = ['starting', 'judging', 'uploading', 'committing', 'ending', 'away'] as const
/**
 * `starting`: ordered or planned. `judging`: files are walked and hashed. `uploading`: contents are judged by the
 * scanner. `committing`: a generation of a manifest is written to its end, or took the place of the last one.
 * `ending`: the end is on the agent's disk. `away`: the agent is not there, as it was killed just before.
 */
export type Phase = (typeof phases)[number]

/** `sinceMs`: when it was ordered, or its agent was killed last. */
export type StruckScan = { id: string; sinceMs: number; hasEnded: () => boolean }

const lookMs = 20
const uploadingMs = 300
const manifestEnd = Buffer.from('RWMFEND2')

const sleep = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs))
const namesIn = (dir: string) => (existsSync(dir) ? readdirSync(dir) : [])

/** What a path has, or undefined when it was taken away meanwhile. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}

function endsLikeManifest(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const end = Buffer.alloc(manifestEnd.length)
    readSync(file, end, 0, end.length, Math.max(0, fstatSync(file).size - end.length))
    return end.equals(manifestEnd)
  } finally {
    closeSync(file)
  }
}

export function createPhases(site: Pick<Site, 'homeOf'>) {
  const agentDir = join(site.homeOf('agent'), 'agent')
  const manifestDir = join(agentDir, 'manifest')
  const verdictsDir = join(site.homeOf('scanner'), 'scanner/verdicts')

  function ofManifests(sinceMs: number): Phase {
    // What is older was left by an agent that was killed before.
    const names = namesIn(manifestDir).filter(
      (name) => (unlessGone(() => statSync(join(manifestDir, name)).mtimeMs) ?? 0) > sinceMs,
    )
    if (names.some((name) => name.endsWith('.compact') || name.endsWith('.salvaged'))) return 'committing'
    const next = names.find((name) => name.endsWith('.next'))
    if (next !== undefined)
      return unlessGone(() => endsLikeManifest(join(manifestDir, next))) === true ? 'committing' : 'judging'
    const isCommitted = names.some((name) => /\.(manifest|delta)$/.test(name))
    return isCommitted ? 'committing' : 'starting'
  }

  /** Where a scan is, by what the agent has on its disk. */
  function phaseOf({ id, sinceMs }: StruckScan): Phase {
    const ended = unlessGone(() => readFileSync(join(agentDir, 'ended-tasks.json'), 'utf8'))
    if (ended?.includes(id) === true) return 'ending'
    const begun = unlessGone(() => readFileSync(join(agentDir, `scan-begun-${id}.json`), 'utf8'))
    if (begun === undefined) return 'starting'
    const { end } = JSON.parse(begun) as { end?: unknown }
    return end == null ? ofManifests(sinceMs) : 'ending'
  }

  return {
    /** Whether the scanner has just kept verdicts, or does now. */
    isUploading: (): boolean =>
      namesIn(verdictsDir).some(
        (name) =>
          name.endsWith('.log') &&
          (unlessGone(() => statSync(join(verdictsDir, name)).mtimeMs) ?? 0) > Date.now() - uploadingMs,
      ),

    phaseOf,

    /** Resolves when a scan has begun and has not ended, or `isOver`, or after a time. */
    underWay: async (scan: StruckScan, isOver: () => boolean, timeoutMs: number): Promise<void> => {
      const untilMs = Date.now() + timeoutMs
      while (!isOver() && Date.now() < untilMs && !['judging', 'committing'].includes(phaseOf(scan)))
        await sleep(lookMs)
    },

    /** Resolves when something happens to the manifests, or after a time. */
    manifestTouched: async (timeoutMs: number): Promise<void> => {
      if (!existsSync(manifestDir)) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, timeoutMs)
        const watcher = watch(manifestDir, done)
        function done(): void {
          clearTimeout(timer)
          watcher.close()
          resolve()
        }
      })
    },
  }
}
export type Phases = ReturnType<typeof createPhases>
