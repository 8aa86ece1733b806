import { createHash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Audit, AuditRecord } from './core.ts'

/** Any number that no one else locks: the chain grows at one end. */
const lockKey = 7_264_951_002
const genesis = '0'.repeat(64)
const verifyPage = 1000

type Row = {
  seq: number
  at: Date
  actor: string
  action: string
  object_kind: string | null
  object_id: string | null
  outcome: string
  address: string | null
  details: string
  hash: string
}

/** What an entry's hash covers, in a fixed order. `details` is the stored text, so that no re-encoding can differ. */
function hashOf(previous: string, row: Omit<Row, 'hash'>): string {
  const fields = [
    row.seq,
    row.at.toISOString(),
    row.actor,
    row.action,
    row.object_kind,
    row.object_id,
    row.outcome,
    row.address,
    row.details,
  ]
  return createHash('sha256').update(previous).update(JSON.stringify(fields)).digest('hex')
}

export function createAudit(db: Kysely<unknown>): Audit {
  return {
    append: async (record: AuditRecord) => {
      await db.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock(${lockKey})`.execute(tx)
        const { rows } = await sql<{
          seq: number
          hash: string
        }>`select seq, hash from audit_entry order by seq desc limit 1`.execute(tx)
        const row = {
          seq: (rows[0]?.seq ?? 0) + 1,
          at: new Date(),
          actor: record.actor,
          action: record.action,
          object_kind: record.objectKind ?? null,
          object_id: record.objectId ?? null,
          outcome: record.outcome,
          address: record.address ?? null,
          details: JSON.stringify(record.details ?? {}),
        }
        const hash = hashOf(rows[0]?.hash ?? genesis, row)
        await sql`insert into audit_entry (seq, at, actor, action, object_kind, object_id, outcome, address, details, hash)
          values (${row.seq}, ${row.at}, ${row.actor}, ${row.action}, ${row.object_kind}, ${row.object_id}, ${row.outcome}, ${row.address}, ${row.details}, ${hash})`.execute(
          tx,
        )
      })
    },
  }
}

export type AuditVerification = {
  isIntact: boolean
  entries: number
  headHash: string
  brokenAtSeq: number | null
  reason: string | null
}

/** Recomputes the whole chain; stops at the first entry that does not fit. */
export async function verifyAuditChain(db: Kysely<unknown>): Promise<AuditVerification> {
  let previous = genesis
  let entries = 0
  const broken = (seq: number, reason: string) => ({
    isIntact: false,
    entries,
    headHash: previous,
    brokenAtSeq: seq,
    reason,
  })
  for (;;) {
    const { rows } =
      await sql<Row>`select * from audit_entry where seq > ${entries} order by seq limit ${verifyPage}`.execute(
        db,
      )
    for (const row of rows) {
      if (row.seq !== entries + 1) return broken(entries + 1, 'an entry is missing')
      if (hashOf(previous, row) !== row.hash) return broken(row.seq, 'the entry was altered')
      previous = row.hash
      entries += 1
    }
    if (rows.length < verifyPage)
      return { isIntact: true, entries, headHash: previous, brokenAtSeq: null, reason: null }
  }
}
