export type Random = {
  /** A whole number from 0 to below `limit`. */
  below: (limit: number) => number
  pick: <T>(items: readonly [T, ...T[]]) => T
  uuid: () => string
}

/** Numbers that look random and are the same for the same seed (mulberry32). Never for secrets. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number) => next() % limit
  const hex = (digits: number) => next().toString(16).padStart(8, '0').slice(0, digits)
  return {
    below,
    pick: <T>(items: readonly [T, ...T[]]): T => items[below(items.length)] ?? items[0],
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${(8 + below(4)).toString(16)}${hex(3)}-${hex(8)}${hex(4)}`,
  }
}
