import type { Logger } from '@ringwall/runtime'
import type { SliceParts } from './slice.ts'

type Job = NonNullable<SliceParts['jobs']>[number]

/** Runs jobs again and again until the signal aborts; a run that fails is told and does not end the others. */
export function startJobs(jobs: Job[], logger: Logger, signal: AbortSignal): void {
  for (const { name, everyMs, run } of jobs) {
    let timer: NodeJS.Timeout
    const tick = async () => {
      await run().catch((error: unknown) => logger.error({ error, job: name }, 'a job failed'))
      if (!signal.aborted) timer = setTimeout(() => void tick(), everyMs)
    }
    timer = setTimeout(() => void tick(), everyMs)
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  }
}
