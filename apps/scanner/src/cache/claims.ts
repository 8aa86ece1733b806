import type { Clock } from '@ringwall/runtime'

type Claim = { holder: string; expiresAtMs: number }
type Waiter = { missing: Set<string>; done: () => void }

const maxClaimsPerHolder = 32_768

/**
 * Who uploads what. The first agent that asks for an unknown content gets the claim; the others wait for its
 * verdict. A claim ends with the verdict, or by itself when the holder is too slow; the next to ask gets it.
 */
export function createClaims(options: { ttlMs: number; clock: Clock }) {
  const { ttlMs, clock } = options
  const claims = new Map<string, Claim>()
  const heldBy = new Map<string, number>()
  const waiters = new Map<string, Set<Waiter>>()

  const forget = (hash: string, claim: Claim) => {
    claims.delete(hash)
    const left = (heldBy.get(claim.holder) ?? 1) - 1
    if (left > 0) heldBy.set(claim.holder, left)
    else heldBy.delete(claim.holder)
  }

  return {
    /** Whether `holder` may (still, or from now on) upload the content. */
    claim(hash: string, holder: string): boolean {
      const nowMs = clock.monotonicMs()
      const existing = claims.get(hash)
      if (existing !== undefined && existing.holder !== holder && existing.expiresAtMs > nowMs) return false
      if (existing === undefined && (heldBy.get(holder) ?? 0) >= maxClaimsPerHolder) return false
      if (existing !== undefined) forget(hash, existing)
      claims.set(hash, { holder, expiresAtMs: nowMs + ttlMs })
      heldBy.set(holder, (heldBy.get(holder) ?? 0) + 1)
      return true
    },

    /** The content was judged, or its upload failed: whoever waits is told to look again. */
    settle(hash: string): void {
      const existing = claims.get(hash)
      if (existing !== undefined) forget(hash, existing)
      for (const waiter of waiters.get(hash) ?? []) {
        waiter.missing.delete(hash)
        if (waiter.missing.size === 0) waiter.done()
      }
      waiters.delete(hash)
    },

    /** Resolves when all of the hashes settled, or after `waitMs`. */
    wait(hashes: string[], waitMs: number): Promise<void> {
      return new Promise((resolve) => {
        const finish = () => {
          clearTimeout(timer)
          for (const hash of waiter.missing) {
            const others = waiters.get(hash)
            others?.delete(waiter)
            if (others?.size === 0) waiters.delete(hash)
          }
          resolve()
        }
        const timer = setTimeout(finish, waitMs)
        const waiter: Waiter = { missing: new Set(hashes), done: finish }
        for (const hash of hashes) waiters.set(hash, (waiters.get(hash) ?? new Set()).add(waiter))
      })
    },

    get size(): number {
      return claims.size
    },
  }
}
export type Claims = ReturnType<typeof createClaims>
