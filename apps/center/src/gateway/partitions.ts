import { sql } from 'kysely'
import type { Db } from '../core/core.ts'

const dayMs = 86_400_000
const daysAhead = 3

function partitionName(day: string): string {
  return `event_${day.replaceAll('-', '')}`
}

/** Makes the event partitions of yesterday, today and the next days, and drops those that are older than `keepDays`. */
export async function maintainPartitions(db: Db, nowMs: number, keepDays: number): Promise<void> {
  for (let offset = -1; offset <= daysAhead; offset += 1) {
    const day = new Date(nowMs + offset * dayMs).toISOString().slice(0, 10)
    const next = new Date(nowMs + (offset + 1) * dayMs).toISOString().slice(0, 10)
    await sql`create table if not exists ${sql.id(partitionName(day))} partition of event
      for values from (${sql.lit(`${day}T00:00:00Z`)}) to (${sql.lit(`${next}T00:00:00Z`)})`.execute(db)
  }
  const oldest = partitionName(new Date(nowMs - keepDays * dayMs).toISOString().slice(0, 10))
  const { rows } = await sql<{
    name: string
  }>`select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'event'::regclass`.execute(
    db,
  )
  for (const { name } of rows)
    if (/^event_\d{8}$/.test(name) && name < oldest) await sql`drop table ${sql.id(name)}`.execute(db)
}
