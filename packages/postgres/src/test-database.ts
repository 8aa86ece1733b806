import { randomBytes } from 'node:crypto'
import { AppError } from '@ringwall/contracts'
import { type Kysely, sql } from 'kysely'
import { createDatabase, type DatabaseConnection } from './database.ts'

/** Set by the test runner's global setup: the admin connection of the run's own cluster, as JSON. */
export const TEST_CLUSTER_VARIABLE = 'RINGWALL_TEST_CLUSTER'

export interface TestDatabase<DB> {
  db: Kysely<DB>
  connection: DatabaseConnection
  drop: () => Promise<void>
}

function clusterConnection(): DatabaseConnection {
  const text = process.env[TEST_CLUSTER_VARIABLE]
  if (text === undefined)
    throw new AppError('database_unavailable', {
      reason: `${TEST_CLUSTER_VARIABLE} is not set; run through vitest`,
    })
  return JSON.parse(text) as DatabaseConnection
}

/** Makes the template once per run, whichever test process comes first. */
async function ensureTemplate<DB>(
  admin: Kysely<unknown>,
  connection: DatabaseConnection,
  name: string,
  build: (db: Kysely<DB>) => Promise<void>,
): Promise<void> {
  await admin.connection().execute(async (session) => {
    await sql`select pg_advisory_lock(hashtext(${name}))`.execute(session)
    try {
      const { rows } = await sql`select 1 from pg_database where datname = ${name}`.execute(session)
      if (rows.length > 0) return
      const building = `${name}_${randomBytes(4).toString('hex')}`
      await sql`create database ${sql.id(building)}`.execute(session)
      const db = createDatabase<DB>({ connection: { ...connection, database: building }, poolSize: 4 })
      await build(db).finally(() => db.destroy())
      await sql`alter database ${sql.id(building)} rename to ${sql.id(name)}`.execute(session)
    } finally {
      await sql`select pg_advisory_unlock(hashtext(${name}))`.execute(session)
    }
  })
}

/** A database of its own for one test file: a copy of the template that `build` fills once per run. */
export async function createTestDatabase<DB>(
  template: string,
  build: (db: Kysely<DB>) => Promise<void>,
): Promise<TestDatabase<DB>> {
  const cluster = clusterConnection()
  const admin = createDatabase<unknown>({ connection: cluster, poolSize: 1 })
  const templateName = `template_${template}`
  await ensureTemplate(admin, cluster, templateName, build)
  const name = `test_${randomBytes(6).toString('hex')}`
  await sql`create database ${sql.id(name)} template ${sql.id(templateName)}`.execute(admin)
  const connection = { ...cluster, database: name }
  const db = createDatabase<DB>({ connection })
  const drop = async () => {
    await db.destroy()
    await sql`drop database if exists ${sql.id(name)} with (force)`.execute(admin)
    await admin.destroy()
  }
  return { db, connection, drop }
}
