import { describe, expect, it } from 'vitest'
import { decideInstance, type KnownInstance } from './instance.ts'

const known: KnownInstance = {
  instanceId: 'uuid-1',
  processNonce: 'p1',
  ratchet: 'r2',
  previousRatchet: 'r1',
  isAlive: false,
}
const hello = { instanceId: 'uuid-1', processNonce: 'p2', ratchet: 'r2' }

describe('who says hello', () => {
  it.each([
    ['nobody yet', { ...known, ratchet: '' }, hello, 'first'],
    ['the machine after a restart', known, hello, 'same'],
    ['the machine that died before it stored the new ratchet', known, { ...hello, ratchet: 'r1' }, 'same'],
    [
      'the machine on a new socket',
      { ...known, isAlive: true },
      { ...hello, processNonce: 'p1' },
      'takeover',
    ],
    ['a copy beside the living original', { ...known, isAlive: true }, hello, 'clone'],
    ['a copy with another machine id', known, { ...hello, instanceId: 'uuid-2' }, 'clone'],
    ['a snapshot that was set back', known, { ...hello, ratchet: 'r0' }, 'rollback'],
  ] as const)('is told: %s', (_, before, newcomer, kind) => {
    expect(decideInstance(before, newcomer).kind).toBe(kind)
  })
})
