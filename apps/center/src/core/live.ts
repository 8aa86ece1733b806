import type { LiveMessage } from '@ringwall/contracts'
import type { Live } from './core.ts'

const bufferedMessages = 2048

export type LiveHub = Live & {
  /** Calls `listener` for each message from now on; answers those after `lastId`, or undefined when they are gone. */
  subscribe: (
    lastId: number | undefined,
    listener: (id: number, message: LiveMessage) => void,
  ) => { missed: { id: number; message: LiveMessage }[] | undefined; unsubscribe: () => void }
}

/** Messages to consoles, numbered; the newest are kept so that a console which comes back misses none. */
export function createLiveHub(): LiveHub {
  const listeners = new Set<(id: number, message: LiveMessage) => void>()
  const buffer: { id: number; message: LiveMessage }[] = []
  // Numbers of an earlier run must not look like numbers of this one.
  let lastId = Date.now() * 1000
  return {
    publish(message) {
      lastId += 1
      buffer.push({ id: lastId, message })
      if (buffer.length > bufferedMessages) buffer.shift()
      for (const listener of listeners) listener(lastId, message)
    },
    subscribe(fromId, listener) {
      listeners.add(listener)
      const first = buffer[0]?.id ?? lastId + 1
      const isKnown = fromId === undefined || fromId === lastId || (fromId + 1 >= first && fromId <= lastId)
      const missed = isKnown ? buffer.filter(({ id }) => fromId !== undefined && id > fromId) : undefined
      return { missed, unsubscribe: () => listeners.delete(listener) }
    },
  }
}
