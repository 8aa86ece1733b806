import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '@ringwall/runtime'
import type { VerdictStore } from '../cache/verdict-store.ts'
import type { Judge } from '../pipeline/judge.ts'
import type { KeptContents } from './kept-contents.ts'

/** What agents bring goes first: so long it waits when there is some. */
const breathMs = 50

/**
 * Judges again what is kept here and was clean under an older content: nobody is asked for it. One content at a time,
 * while no agent waits. Answers how many.
 */
export async function judgeKept(options: {
  kept: Pick<KeptContents, 'all'>
  store: Pick<VerdictStore, 'lookup'>
  judge: Pick<Judge, 'isUnderWay' | 'judge' | 'begin'>
  isBusy: () => boolean
  signal: AbortSignal
}): Promise<number> {
  const { kept, store, judge, isBusy, signal } = options
  const isStale = (sha256: Buffer) =>
    store.lookup(sha256) !== undefined && store.lookup(sha256, 0, true) === undefined
  let judged = 0
  for await (const { sha256, read } of kept.all()) {
    if (signal.aborted) return judged
    if (!isStale(sha256)) continue
    while (isBusy() && !signal.aborted) await sleep(breathMs)
    const bytes = await read()
    const hex = sha256.toString('hex')
    // An agent may have brought it meanwhile.
    if (bytes === undefined || signal.aborted || !isStale(sha256) || judge.isUnderWay(hex)) continue
    const outcome = judge.judge({ sha256, content: { kind: 'bytes', bytes } }, bytes.length)
    judge.begin(hex, outcome)
    await outcome
    judged += 1
  }
  return judged
}

/** Does that for each content version that comes into use; a newer one ends what was under way for an older. */
export function createKeptJudging(
  options: Omit<Parameters<typeof judgeKept>[0], 'signal'> & { logger: Logger },
) {
  let current = new AbortController()
  return {
    begin: (): void => {
      current.abort()
      current = new AbortController()
      const { signal } = current
      judgeKept({ ...options, signal })
        .then((judged) => {
          if (judged > 0) options.logger.info({ judged }, 'kept contents were judged again')
        })
        .catch((error: unknown) => options.logger.error({ error }, 'kept contents could not be judged again'))
    },
    stop: () => current.abort(),
  }
}
