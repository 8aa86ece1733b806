import { AppError } from '@ringwall/contracts'
import { type Kysely, sql } from 'kysely'

export type Migration = (db: Kysely<unknown>) => Promise<void>

/** The migrations of one slice, by explicit keys that never change, e.g. `2026-11-24-malware-tables`. */
export interface MigrationSet {
  slice: string
  migrations: Record<string, Migration>
}

/** Any number that no one else locks. */
const LOCK_KEY = 7_264_951_001

/**
 * Brings the database to the newest schema: forward only, in the order of the keys, each in a transaction of its
 * own, one migrator at a time. Answers the keys that ran. Throws database_newer when the database knows
 * migrations that this program does not.
 */
export async function migrate<DB>(database: Kysely<DB>, sets: MigrationSet[]): Promise<string[]> {
  const known = sets
    .flatMap(({ slice, migrations }) => Object.entries(migrations).map(([key, up]) => ({ slice, key, up })))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  const twice = known.find(({ key }, index) => known[index + 1]?.key === key)
  if (twice !== undefined) throw new TypeError(`migration key ${twice.key} is used twice`)
  return await database.connection().execute(async (connection) => {
    await sql`select pg_advisory_lock(${LOCK_KEY})`.execute(connection)
    try {
      await sql`create table if not exists schema_migration (
        key text primary key, slice text not null, applied_at timestamptz not null default now())`.execute(
        connection,
      )
      const { rows } = await sql<{ key: string }>`select key from schema_migration`.execute(connection)
      const applied = new Set(rows.map(({ key }) => key))
      const unknown = [...applied].filter((key) => !known.some((migration) => migration.key === key))
      if (unknown.length > 0) throw new AppError('database_newer', { keys: unknown.sort().join(', ') })
      const missing = known.filter(({ key }) => !applied.has(key))
      for (const { key, slice, up } of missing) {
        await connection.transaction().execute(async (tx) => {
          await sql`set local lock_timeout = '30s'`.execute(tx)
          await up(tx as unknown as Kysely<unknown>)
          await sql`insert into schema_migration (key, slice) values (${key}, ${slice})`.execute(tx)
        })
      }
      return missing.map(({ key }) => key)
    } finally {
      await sql`select pg_advisory_unlock(${LOCK_KEY})`.execute(connection)
    }
  })
}
