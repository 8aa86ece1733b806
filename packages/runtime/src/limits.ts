import { AppError } from '@ringwall/contracts'
import { type Clock, systemClock } from './clock.ts'

/** Admits `perSecond` on average and `burst` at once. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  readonly #clock: Clock
  #tokens: number
  #filledAtMs: number

  constructor(options: { perSecond: number; burst: number; clock?: Clock }) {
    this.#perSecond = options.perSecond
    this.#burst = options.burst
    this.#clock = options.clock ?? systemClock
    this.#tokens = options.burst
    this.#filledAtMs = this.#clock.monotonicMs()
  }

  /** Takes a token and answers 0, or answers after how many milliseconds there will be one. */
  take(): number {
    const nowMs = this.#clock.monotonicMs()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * this.#perSecond)
    this.#filledAtMs = nowMs
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 0
    }
    return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000)
  }
}

type Waiter = { weight: number; resolve: () => void; onAbort: () => void; signal: AbortSignal | undefined }

/**
 * A bounded resource, e.g. bytes under way. `acquire` waits in order; one waiter more than `maxWaiting` is overload
 * and rejected with too_many_requests.
 */
export class Semaphore {
  readonly #capacity: number
  readonly #maxWaiting: number
  #used = 0
  readonly #waiting: Waiter[] = []

  constructor(options: { capacity: number; maxWaiting?: number }) {
    this.#capacity = options.capacity
    this.#maxWaiting = options.maxWaiting ?? Number.POSITIVE_INFINITY
  }

  get used(): number {
    return this.#used
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Waits for `weight` of the capacity (at most all of it); the returned function gives it back, once. */
  async acquire(weight = 1, signal?: AbortSignal): Promise<() => void> {
    const wanted = Math.min(weight, this.#capacity)
    if (signal?.aborted) throw new AppError('aborted')
    if (this.#waiting.length > 0 || this.#used + wanted > this.#capacity) {
      if (this.#waiting.length >= this.#maxWaiting)
        throw new AppError('too_many_requests', { retryAfterSeconds: 1 })
      await this.#wait(wanted, signal)
    } else {
      this.#used += wanted
    }
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#used -= wanted
      this.#admit()
    }
  }

  #wait(weight: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        weight,
        resolve,
        signal,
        onAbort: () => {
          this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
          reject(new AppError('aborted'))
          this.#admit()
        },
      }
      this.#waiting.push(waiter)
      signal?.addEventListener('abort', waiter.onAbort, { once: true })
    })
  }

  #admit(): void {
    for (
      let next = this.#waiting[0];
      next !== undefined && this.#used + next.weight <= this.#capacity;
      next = this.#waiting[0]
    ) {
      this.#waiting.shift()
      next.signal?.removeEventListener('abort', next.onAbort)
      this.#used += next.weight
      next.resolve()
    }
  }
}

export type ConcurrencyLimit = <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>

/** Runs at most `max` works at a time; others wait in order, at most `maxWaiting` (else too_many_requests). */
export function createConcurrencyLimit(options: { max: number; maxWaiting?: number }): ConcurrencyLimit {
  const { max, ...rest } = options
  const semaphore = new Semaphore({ capacity: max, ...rest })
  return async (work, signal) => {
    const release = await semaphore.acquire(1, signal)
    try {
      return await work()
    } finally {
      release()
    }
  }
}
