import { AppError } from '@ringwall/contracts'
import type { Clock } from '@ringwall/runtime'

const freeTries = 5
const baseMs = 2_000
const capMs = 15 * 60_000
const forgetAfterMs = 60 * 60_000
const maxRemembered = 100_000

/** Failed sign-ins by name and by address: after some tries each further one costs twice the wait of the last. */
export function createThrottle(clock: Clock) {
  const failures = new Map<string, { count: number; atMs: number }>()
  const waitMsOf = (key: string): number => {
    const failure = failures.get(key)
    if (failure === undefined || failure.count < freeTries) return 0
    const delayMs = Math.min(capMs, baseMs * 2 ** (failure.count - freeTries))
    return Math.max(0, failure.atMs + delayMs - clock.monotonicMs())
  }
  return {
    /** Throws login_throttled while one of the keys has to wait. */
    check(keys: string[]): void {
      const waitMs = Math.max(...keys.map(waitMsOf))
      if (waitMs > 0) throw new AppError('login_throttled', { retryAfterSeconds: Math.ceil(waitMs / 1000) })
    },
    failed(keys: string[]): void {
      const nowMs = clock.monotonicMs()
      if (failures.size > maxRemembered)
        for (const [key, { atMs }] of failures) if (nowMs - atMs > forgetAfterMs) failures.delete(key)
      for (const key of keys) {
        const before = failures.get(key)
        const isOld = before === undefined || nowMs - before.atMs > forgetAfterMs
        failures.set(key, { count: isOld ? 1 : before.count + 1, atMs: nowMs })
      }
    },
    succeeded(keys: string[]): void {
      for (const key of keys) failures.delete(key)
    },
  }
}
export type Throttle = ReturnType<typeof createThrottle>
