import { AppError } from '@ringwall/contracts'
import { type Kysely, sql } from 'kysely'

/** One forward step of a schema. It runs in a transaction of its own. */
export type Migration = (db: Kysely<unknown>) => Promise<void>

/**
 * The migrations one slice owns. A key is written out, never taken from a file name, begins with its date and is
 * unique among all slices: `2026-11-24-malware-tables`.
 */
export interface MigrationSet {
  slice: string
  migrations: Record<string, Migration>
}

export interface MigrateOptions {
  /** How long one migration waits for a table lock before it fails. Default 10 000. */
  lockTimeoutMs?: number
}

/** Arbitrary, but the same in every version: it names the lock all migrating processes share. */
const ADVISORY_LOCK_KEY = 7_246_402_911

function ordered(sets: readonly MigrationSet[]): { key: string; slice: string; run: Migration }[] {
  const all = sets.flatMap(({ slice, migrations }) =>
    Object.entries(migrations).map(([key, run]) => ({ key, slice, run })),
  )
  const owners = new Map<string, string>()
  for (const { key, slice } of all) {
    if (!/^\d{4}-\d{2}-\d{2}-[a-z0-9-]+$/.test(key))
      throw new TypeError(`migration key ${key} has no date or name`)
    const owner = owners.get(key)
    if (owner !== undefined) throw new TypeError(`migration key ${key} is used by ${owner} and ${slice}`)
    owners.set(key, slice)
  }
  return all.sort((a, b) => (a.key < b.key ? -1 : 1))
}

/**
 * Brings the schema up to date: forward only, in order of key, each migration in its own transaction together with
 * its record in `schema_migration`. Several processes may call it at once; an advisory lock lets one work at a
 * time. Returns the keys it applied. Throws AppError database_newer when the database holds keys that no set
 * knows, before anything is changed.
 */
export async function migrate<DB>(
  db: Kysely<DB>,
  sets: readonly MigrationSet[],
  options: MigrateOptions = {},
): Promise<string[]> {
  const migrations = ordered(sets)
  const lockTimeout = `${Math.trunc(options.lockTimeoutMs ?? 10_000)}ms`
  return await db.connection().execute(async (connection) => {
    // Waiting for another process's migration, and a long migration itself, are no hanging statements.
    await sql`set statement_timeout = 0`.execute(connection)
    await sql`select pg_advisory_lock(${ADVISORY_LOCK_KEY})`.execute(connection)
    try {
      await sql`
        create table if not exists schema_migration (
          key text primary key,
          slice text not null,
          applied_at timestamptz not null default now()
        )`.execute(connection)
      const recorded = await sql<{ key: string }>`select key from schema_migration order by key`.execute(
        connection,
      )
      const known = new Set(migrations.map(({ key }) => key))
      const unknown = recorded.rows.filter(({ key }) => !known.has(key))
      if (unknown.length > 0) {
        throw new AppError('database_newer', { keys: unknown.map(({ key }) => key).join(', ') })
      }
      const done = new Set(recorded.rows.map(({ key }) => key))
      const pending = migrations.filter(({ key }) => !done.has(key))
      for (const { key, slice, run } of pending) {
        await connection.transaction().execute(async (transaction) => {
          await sql`select set_config('lock_timeout', ${lockTimeout}, true)`.execute(transaction)
          // A migration sees the schema of its day, not today's types.
          await run(transaction as unknown as Kysely<unknown>)
          await sql`insert into schema_migration (key, slice) values (${key}, ${slice})`.execute(transaction)
        })
      }
      return pending.map(({ key }) => key)
    } finally {
      await sql`select pg_advisory_unlock(${ADVISORY_LOCK_KEY})`.execute(connection)
      await sql`reset statement_timeout`.execute(connection)
    }
  })
}
