/** Time as a dependency, so that tests can move it. */
export type Clock = {
  /** Wall clock, milliseconds since 1970. */
  nowMs: () => number
  /** Never goes back; only differences mean something. */
  monotonicMs: () => number
}

export const systemClock: Clock = { nowMs: Date.now, monotonicMs: () => performance.now() }

/** A clock that stands still until `advance`. */
export function fakeClock(startMs = Date.UTC(2026, 0, 1)): Clock & { advance: (byMs: number) => void } {
  let elapsedMs = 0
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    advance: (byMs) => {
      elapsedMs += byMs
    },
  }
}
