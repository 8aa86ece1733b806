/**
 * Is this the machine that the certificate was given to, or a copy of it? A pure decision over what the center
 * remembers and what the newcomer says; gateway/link-session.ts acts on it.
 *
 * The ratchet is the core: at each welcome the center hands out a new random value which the agent stores before it
 * confirms it. Two copies of one disk part ways there, whatever their hardware ids say.
 */
export type KnownInstance = {
  /** '' until the first hello. */
  instanceId: string
  processNonce: string
  ratchet: string
  /** Accepted too: the agent may have died between our handing out a ratchet and its storing it. */
  previousRatchet: string
  /** Another socket of this identity answers pings right now. */
  isAlive: boolean
}
export type HelloInstance = { instanceId: string; processNonce: string; ratchet: string }

export type InstanceDecision =
  | { kind: 'first' }
  /** The machine we know, coming back. */
  | { kind: 'same' }
  /** The machine we know, on a new socket, before its old one was seen to be dead. */
  | { kind: 'takeover' }
  /** A copy: it gets an identity of its own. */
  | { kind: 'clone'; evidence: 'second-live-instance' | 'other-instance-id' }
  /** The machine we know, set back to an earlier state, e.g. by reverting a snapshot. */
  | { kind: 'rollback' }

/** Decides who says hello. */
export function decideInstance(known: KnownInstance, hello: HelloInstance): InstanceDecision {
  if (known.ratchet === '') return { kind: 'first' }
  const isSameProcess = known.processNonce === hello.processNonce
  if (known.isAlive && !isSameProcess) return { kind: 'clone', evidence: 'second-live-instance' }
  if (known.instanceId !== '' && hello.instanceId !== '' && known.instanceId !== hello.instanceId)
    return { kind: 'clone', evidence: 'other-instance-id' }
  if (isSameProcess) return { kind: known.isAlive ? 'takeover' : 'same' }
  const isFresh =
    hello.ratchet === known.ratchet || (hello.ratchet === known.previousRatchet && hello.ratchet !== '')
  return { kind: isFresh || known.previousRatchet === '' ? 'same' : 'rollback' }
}
