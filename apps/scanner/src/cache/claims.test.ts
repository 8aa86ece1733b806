import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createClaims } from './claims.ts'

const hashes = Array.from({ length: 60 }, (_, index) =>
  createHash('sha256').update(String(index)).digest('hex'),
)

describe('claims', () => {
  it('let each content travel once, however many agents meet it at the same time', async () => {
    const claims = createClaims({
      ttlMs: 60_000,
      clock: { nowMs: Date.now, monotonicMs: () => performance.now() },
    })
    const known = new Set<string>()
    const uploads: string[] = []
    const agent = async (id: string) => {
      for (;;) {
        const strangers = hashes.filter((hash) => !known.has(hash))
        if (strangers.length === 0) return
        const wanted = strangers.filter((hash) => claims.claim(hash, id))
        for (const hash of wanted) {
          await new Promise((resolve) => setImmediate(resolve))
          uploads.push(hash)
          known.add(hash)
          claims.settle(hash)
        }
        const pending = strangers.filter((hash) => !known.has(hash))
        if (pending.length > 0) await claims.wait(pending, 10_000)
      }
    }
    await Promise.all(Array.from({ length: 50 }, async (_, index) => await agent(`agent ${index}`)))
    expect(uploads.sort()).toEqual([...hashes].sort())
    expect(claims.size).toBe(0)
  })

  it('pass on when the holder is too slow', async () => {
    let nowMs = 0
    const claims = createClaims({ ttlMs: 1000, clock: { nowMs: Date.now, monotonicMs: () => nowMs } })
    expect(claims.claim('hash', 'one')).toBe(true)
    expect(claims.claim('hash', 'two')).toBe(false)
    nowMs = 1000
    expect(claims.claim('hash', 'two')).toBe(true)
    expect(claims.claim('hash', 'one')).toBe(false)
  })
})
