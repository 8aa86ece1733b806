import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import { connectionUrl, createDatabase, type DatabaseConnection } from './database.ts'
import { type ManagedCluster, startManagedCluster } from './managed-cluster.ts'

/** Set by the global setup: the directory of this test run's cluster. */
export const TEST_CLUSTER_VARIABLE = 'RINGWALL_TEST_CLUSTER'

/** Exists on every Linux, so a test run as root adds no account to the machine. */
const TEST_OS_USER = 'nobody'

const silent = { info() {}, warn() {}, error() {} }

let cluster: Promise<ManagedCluster> | undefined

/** The cluster of this test run: the first process to ask starts it, the others take it over. */
function testCluster(): Promise<ManagedCluster> {
  const directory = process.env[TEST_CLUSTER_VARIABLE]
  if (directory === undefined)
    throw new Error('test databases need the global setup of the vitest configuration')
  cluster ??= startManagedCluster({
    dataDir: join(directory, 'data'),
    osUser: TEST_OS_USER,
    logger: silent,
    signal: AbortSignal.timeout(100_000),
  })
  return cluster
}

export interface TestDatabase<DB> {
  db: Kysely<DB>
  connection: DatabaseConnection
  url: string
  /** Closes `db` and drops the database, even when others are still connected. */
  drop(): Promise<void>
}

/**
 * A database of its own for one test file: a copy of the template called `template`, which `build` fills once per
 * test run (whoever comes first, in whatever process). Give the same `build` for the same name.
 */
export async function createTestDatabase<DB>(
  template: string,
  build: (db: Kysely<DB>) => Promise<void>,
): Promise<TestDatabase<DB>> {
  const { connection } = await testCluster()
  const templateName = `template_${template.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')}`
  const name = `test_${randomBytes(8).toString('hex')}`
  await withMaintenance(connection, async (maintenance) => {
    await ensureTemplate(maintenance, connection, templateName, build)
    await sql`create database ${sql.id(name)} template ${sql.id(templateName)}`.execute(maintenance)
  })
  const own = { ...connection, database: name }
  const db = createDatabase<DB>({ connection: own, poolSize: 5, applicationName: 'ringwall test' })
  return {
    db,
    connection: own,
    url: connectionUrl(own),
    async drop() {
      await db.destroy()
      await withMaintenance(connection, async (maintenance) => {
        await dropDatabase(maintenance, name)
      })
    },
  }
}

const insufficientPrivilege = '42501'

/** Only a superuser may end an autovacuum worker, which `force` tries; it is done with a small database in no time. */
async function dropDatabase(maintenance: Kysely<unknown>, name: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await sql`drop database if exists ${sql.id(name)} with (force)`.execute(maintenance)
      return
    } catch (error) {
      const isVacuum = error instanceof Error && 'code' in error && error.code === insufficientPrivilege
      if (!isVacuum || tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function withMaintenance(
  connection: DatabaseConnection,
  work: (db: Kysely<unknown>) => Promise<void>,
): Promise<void> {
  const pool = createDatabase<unknown>({ connection, poolSize: 1, applicationName: 'ringwall test' })
  try {
    await pool.connection().execute(work)
  } finally {
    await pool.destroy()
  }
}

/** Builds the template under another name and renames it, so a failed build leaves nothing that looks finished. */
async function ensureTemplate<DB>(
  maintenance: Kysely<unknown>,
  connection: DatabaseConnection,
  name: string,
  build: (db: Kysely<DB>) => Promise<void>,
): Promise<void> {
  // The lock belongs to the session and ends with its connection.
  await sql`select pg_advisory_lock(hashtextextended(${name}, 0))`.execute(maintenance)
  const { rows } = await sql`select 1 from pg_database where datname = ${name}`.execute(maintenance)
  if (rows.length === 0) {
    const building = `${name}_building`
    await sql`drop database if exists ${sql.id(building)} with (force)`.execute(maintenance)
    await sql`create database ${sql.id(building)} template template0`.execute(maintenance)
    const db = createDatabase<DB>({ connection: { ...connection, database: building }, poolSize: 3 })
    try {
      await build(db)
    } finally {
      await db.destroy()
    }
    await sql`alter database ${sql.id(building)} rename to ${sql.id(name)}`.execute(maintenance)
  }
  await sql`select pg_advisory_unlock(hashtextextended(${name}, 0))`.execute(maintenance)
}
