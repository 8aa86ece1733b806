/**
 * The events of an engine as triggers. Ids grow, but one that was numbered early may be committed late, so each poll asks for the last few
 * again and forgets nothing that it has not seen.
 */
import { childrenOf, type XmlElement } from '../xml.ts'
import type { OvirtClient } from './client.ts'
import { idOf, linkedId } from './records.ts'

const overlap = 30
/** More events than this in one poll, and a whole list is cheaper than reading back one by one. */
const maxEvents = 1_000

export type EventBatch = {
  vms: Set<string>
  hosts: Set<string>
  templates: Set<string>
  clusters: Set<string>
  isOverflow: boolean
}
export type EventCursor = {
  /** What happened since the last call. */
  next: (signal: AbortSignal) => Promise<EventBatch>
  /** Whether anything happened since the last call of `next`. */
  hasMoved: (signal: AbortSignal) => Promise<boolean>
}

const numberOf = (event: XmlElement) => Number(idOf(event)) || 0

/** A cursor that stands at the newest event. */
export async function openEventCursor(client: OvirtClient, signal: AbortSignal): Promise<EventCursor> {
  const newestId = async (newestSignal: AbortSignal) =>
    Math.max(0, ...childrenOf(await client.read('/events?max=1', newestSignal), 'event').map(numberOf))
  let last = await newestId(signal)
  const startedAt = last
  const seen = new Set<number>()
  return {
    hasMoved: async (movedSignal) => (await newestId(movedSignal)) > last,
    next: async (nextSignal) => {
      const from = Math.max(startedAt, last - overlap)
      const root = await client.read(`/events?from=${from}&max=${maxEvents}`, nextSignal)
      const all = childrenOf(root, 'event')
      const events = all.filter((event) => numberOf(event) > from && !seen.has(numberOf(event)))
      for (const event of events) seen.add(numberOf(event))
      last = Math.max(last, ...events.map(numberOf))
      for (const id of seen) if (id <= last - overlap) seen.delete(id)
      const linked = (name: string) =>
        new Set(events.map((event) => linkedId(event, name)).filter((id) => id !== null))
      return {
        vms: linked('vm'),
        hosts: linked('host'),
        templates: linked('template'),
        clusters: linked('cluster'),
        isOverflow: all.length >= maxEvents,
      }
    },
  }
}
