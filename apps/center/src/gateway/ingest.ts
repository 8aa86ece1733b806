import { type AgentEvent, agentEventSchema, type UpMessages } from '@ringwall/contracts'
import { unnest } from '@ringwall/postgres'
import { type Clock, derivedUuid } from '@ringwall/runtime'
import { type Kysely, sql } from 'kysely'
import { z } from 'zod'
import type { EventConsumer, LinkPeer, SliceParts } from '../app/slice.ts'
import type { Figures, Tx } from '../core/core.ts'

type Batch = UpMessages['events']
type EventRow = {
  received_at: Date
  machine_id: string
  epoch: string
  seq: number
  id: string
  at: Date
  type: string
  body: string
}
type Read = { row: EventRow; event: AgentEvent | undefined }

const maxKeptChars = 16_384
const headSchema = z.object({
  id: z.uuid(),
  at: z.iso.datetime({ offset: true }),
  type: z.string().min(1).max(60),
})

/** An event as it is stored. One that cannot be read is kept as it came, so that nothing that was acknowledged is lost. */
function readEvent(machineId: string, epoch: string, seq: number, raw: unknown, receivedAt: Date): Read {
  const base = { received_at: receivedAt, machine_id: machineId, epoch, seq }
  const parsed = agentEventSchema.safeParse(raw)
  if (parsed.success) {
    const { id, at, type, ...body } = parsed.data
    return { row: { ...base, id, at: new Date(at), type, body: JSON.stringify(body) }, event: parsed.data }
  }
  const head = headSchema.safeParse(raw)
  const text = JSON.stringify(raw)?.slice(0, maxKeptChars) ?? ''
  const isUnknown =
    head.success && !agentEventSchema.options.some((option) => option.shape.type.value === head.data.type)
  const id = head.success ? head.data.id : derivedUuid(machineId, epoch, String(seq))
  const at = head.success ? new Date(head.data.at) : receivedAt
  return {
    row: {
      ...base,
      id,
      at,
      type: isUnknown ? 'unknown' : 'invalid',
      body: JSON.stringify({ reason: isUnknown ? head.data.type : 'not valid', raw: text }),
    },
    event: undefined,
  }
}

const columnTypes = {
  received_at: 'timestamptz',
  machine_id: 'uuid',
  epoch: 'uuid',
  seq: 'int8',
  id: 'uuid',
  at: 'timestamptz',
  type: 'text',
  body: 'jsonb',
}

async function insertEvents(tx: Tx, rows: EventRow[]): Promise<void> {
  if (rows.length === 0) return
  const { columns, expression } = unnest(rows, columnTypes)
  await sql`insert into event (${sql.join(columns.map((column) => sql.id(column)))}) ${expression}`.execute(
    tx,
  )
}

/** The last number that is committed of an epoch, locked for this transaction. */
async function lockMark(tx: Tx, peerId: string, epoch: string): Promise<number> {
  await sql`insert into event_mark (peer_id, epoch, last_seq) values (${peerId}, ${epoch}, 0) on conflict do nothing`.execute(
    tx,
  )
  const { rows } = await sql<{
    last_seq: number
  }>`select last_seq from event_mark where peer_id = ${peerId} and epoch = ${epoch} for update`.execute(tx)
  return rows[0]?.last_seq ?? 0
}

/** Whether an id follows from what it names (UUID version 8): a killed agent reports the same once more. */
const isDerived = (id: string) => id[14] === '8'

/** Without the events that the machine reported before: of the end of a task the first one counts. */
async function withoutRepeated(tx: Tx, machineId: string, reads: readonly Read[]): Promise<Read[]> {
  const derived = reads.map(({ row }) => row.id).filter(isDerived)
  if (derived.length === 0) return [...reads]
  const { rows } = await sql<{
    id: string
  }>`select id from event where machine_id = ${machineId} and id = any(${derived}::uuid[])`.execute(tx)
  const known = new Set(rows.map(({ id }) => id))
  return reads.filter(({ row: { id } }) => {
    if (known.has(id)) return false
    if (isDerived(id)) known.add(id)
    return true
  })
}

/**
 * Commits a batch of an agent's events and what the slices make of them, in one transaction, each event once
 * however often it is sent. Answers the number up to which everything is committed.
 */
export function createIngest(options: {
  db: Kysely<unknown>
  clock: Clock
  slices: () => SliceParts[]
  figures: Figures
}) {
  const { db, clock, figures } = options

  async function consume(tx: Tx, peer: LinkPeer, reads: Read[], receivedAt: Date): Promise<void> {
    const context = { machineId: peer.id, hostname: peer.hostname, receivedAt }
    for (const { event } of reads) {
      if (event === undefined) continue
      for (const { events } of options.slices()) {
        const consumer = events?.[event.type] as EventConsumer<typeof event.type> | undefined
        await consumer?.(tx, context, event as never)
      }
    }
  }

  return async (peer: LinkPeer, batch: Batch): Promise<number> => {
    const receivedAt = new Date(clock.nowMs())
    const { lastSeq, fresh } = await db.transaction().execute(async (tx) => {
      const mark = await lockMark(tx, peer.id, batch.epoch)
      const records = batch.records.filter(({ seq }) => seq > mark).sort((a, b) => a.seq - b.seq)
      const last = records.at(-1)
      if (last === undefined) return { lastSeq: mark, fresh: [] }
      const unique = records.filter(({ seq }, index) => records[index + 1]?.seq !== seq)
      const all = unique.map(({ seq, event }) => readEvent(peer.id, batch.epoch, seq, event, receivedAt))
      const reads = await withoutRepeated(tx, peer.id, all)
      await insertEvents(
        tx,
        reads.map(({ row }) => row),
      )
      await consume(tx, peer, reads, receivedAt)
      await sql`update event_mark set last_seq = ${last.seq} where peer_id = ${peer.id} and epoch = ${batch.epoch}`.execute(
        tx,
      )
      return { lastSeq: last.seq, fresh: reads }
    })
    figures.eventsCommitted += fresh.length
    figures.unknownMessages += fresh.filter(({ event }) => event === undefined).length
    const types = new Set(fresh.map(({ row }) => row.type))
    if (types.size > 0) for (const { afterEvents } of options.slices()) afterEvents?.(peer.id, types)
    return lastSeq
  }
}
export type Ingest = ReturnType<typeof createIngest>
