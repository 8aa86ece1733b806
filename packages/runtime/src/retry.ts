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

/** Resolves after `durationMs`; rejects with `aborted` as soon as the signal says so. */
export function sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
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

/** Runs `work` until it succeeds, `isWorthIt` says no, the tries are used up or the signal aborts. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: {
    tries: number
    baseMs: number
    capMs: number
    signal?: AbortSignal
    isWorthIt?: (error: unknown) => boolean
  },
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work(attempt)
    } catch (error) {
      const isLast = attempt + 1 >= options.tries
      if (isLast || options.signal?.aborted || options.isWorthIt?.(error) === false) throw error
    }
    await sleep(fullJitterDelayMs({ attempt, baseMs: options.baseMs, capMs: options.capMs }), options.signal)
  }
}
