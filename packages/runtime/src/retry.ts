import { AppError } from '@ringwall/contracts'

/** Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): anything between 0 and the doubled cap. */
export function fullJitterDelayMs(options: {
  attempt: number
  baseMs: number
  capMs: number
  random?: () => number
}): number {
  const { attempt, baseMs, capMs, random = Math.random } = options
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))
}

/** What a timer can count; beyond it `setTimeout` fires at once. */
const maxTimerMs = 2 ** 31 - 1

/** Resolves after `durationMs`; rejects with `aborted` as soon as the signal says so. */
export async function sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
  let leftMs = durationMs
  for (; leftMs > maxTimerMs; leftMs -= maxTimerMs) await sleepOnce(maxTimerMs, signal)
  await sleepOnce(leftMs, signal)
}

function sleepOnce(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AppError('aborted'))
    const onAbort = () => {
      clearTimeout(timer)
      reject(new AppError('aborted'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, durationMs)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Runs `work` until it succeeds, `isWorthIt` says no or the tries are used up. Throws aborted for the signal. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: {
    tries: number
    baseMs: number
    capMs: number
    signal?: AbortSignal
    isWorthIt?: (error: unknown) => boolean
    random?: () => number
  },
): Promise<T> {
  const { baseMs, capMs, random = Math.random } = options
  for (let attempt = 0; ; attempt += 1) {
    if (options.signal?.aborted) throw new AppError('aborted')
    try {
      return await work(attempt)
    } catch (error) {
      const isLast = attempt + 1 >= options.tries
      if (isLast || options.signal?.aborted || options.isWorthIt?.(error) === false) throw error
    }
    await sleep(fullJitterDelayMs({ attempt, baseMs, capMs, random }), options.signal)
  }
}
