import type { Clock } from '@ringwall/runtime'
import type { Change, Inventory, Ref } from '../types.ts'
import type { CopyEvents } from './lineage.ts'
import { createMirror } from './mirror.ts'
import { openUpdateStream, retrieveProperties } from './property-collector.ts'
import { inventoryPaths } from './records.ts'
import type { Session } from './session.ts'

/** One long poll; a quiet platform gives a sign of life this often. */
const pollSeconds = 20
/** What servers do not announce is read again this often: that a VM became a template, and copies that took long. */
const rereadMs = 30_000
/** The event that tells of whom a new VM is a copy can come a little after the VM. */
const eventPollSeconds = 1
const eventPolls = 5

/** What follows the platform from one complete inventory on. */
export type Follower = {
  /** Waits for the next changes, for at most about 20 s; empty where nothing happened. */
  next: (signal: AbortSignal) => Promise<Change[]>
  /** Frees what it holds on the server; never throws. */
  destroy: () => Promise<void>
}

/** Reads everything and goes on from there, without a gap. Complete, or it throws: the errors of `Session`. */
export async function openFollower(deps: {
  session: Session
  copies: CopyEvents
  clock: Clock
  signal: AbortSignal
  onProgress: ((objects: number) => void) | undefined
}): Promise<{ inventory: Inventory; follower: Follower }> {
  const { session, copies, clock, onProgress } = deps
  const stream = await openUpdateStream(session, inventoryPaths, deps.signal)
  const mirror = createMirror(copies)
  /** New VMs whose origin no event has told yet, and how often it will still be asked. */
  const unexplained = new Map<Ref, number>()
  let rereadAtMs = clock.monotonicMs() + rereadMs

  async function poll(
    maxWaitSeconds: number,
    signal: AbortSignal,
    onPage?: (objects: number) => void,
  ): Promise<void> {
    let waitSeconds = maxWaitSeconds
    for (;;) {
      const { hasMore } = await stream.wait({ maxWaitSeconds: waitSeconds, signal, onUpdate: mirror.apply })
      onPage?.(mirror.size())
      if (!hasMore) return
      waitSeconds = 0
    }
  }

  async function readCopies(signal: AbortSignal): Promise<void> {
    const refs = await copies.refresh(signal)
    for (const ref of refs ?? []) mirror.touch(ref)
    if (refs === undefined) unexplained.clear()
    for (const [ref, pollsLeft] of unexplained) {
      if (pollsLeft <= 1 || copies.parentOf(ref) !== undefined) unexplained.delete(ref)
      else unexplained.set(ref, pollsLeft - 1)
    }
  }

  async function reread(signal: AbortSignal): Promise<void> {
    rereadAtMs = clock.monotonicMs() + rereadMs
    await retrieveProperties({
      session,
      view: stream.view,
      paths: { VirtualMachine: ['config.template'] },
      signal,
      onUpdate: mirror.apply,
    })
  }

  try {
    await poll(0, deps.signal, onProgress)
    await copies.refresh(deps.signal)
    const follower: Follower = {
      destroy: stream.destroy,
      next: async (signal) => {
        await poll(unexplained.size > 0 ? eventPollSeconds : pollSeconds, signal)
        for (const ref of mirror.takeNewcomers()) unexplained.set(ref, eventPolls)
        const isRereadDue = clock.monotonicMs() >= rereadAtMs
        if (isRereadDue) await reread(signal)
        if (isRereadDue || unexplained.size > 0) await readCopies(signal)
        return mirror.takeChanges()
      },
    }
    return { inventory: mirror.inventory(), follower }
  } catch (error) {
    await stream.destroy()
    throw error
  }
}
