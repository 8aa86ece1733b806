import { AppError } from '@ringwall/contracts'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { type CustomTypesConfig, Pool, type PoolConfig, types } from 'pg'
import type { DatabaseLogger } from './logger.ts'

/** Where a database is. `host` is a host name or the directory of a Unix socket. */
export interface DatabaseConnection {
  host: string
  port: number
  user: string
  password: string
  database: string
}

export interface DatabaseOptions {
  /** Either a URL (`postgresql://user:password@host/name`, `postgresql://user:password@/name?host=/socket/dir`)... */
  url?: string
  /** ...or its parts. */
  connection?: DatabaseConnection
  /** Most connections at once. Default 10. */
  poolSize?: number
  /** Shown in pg_stat_activity. Default `ringwall`. */
  applicationName?: string
  /** The server gives up a statement after this long. Default 60 000. */
  statementTimeoutMs?: number
  /** How long a query waits for a connection. Default 10 000. */
  connectTimeoutMs?: number
  /** Told when a connection is lost between queries; the pool replaces it by itself. */
  logger?: Pick<DatabaseLogger, 'warn'>
}

const INT8_OID = types.builtins.INT8
const DATE_OID = types.builtins.DATE

/** Reads an int8 as a number. Throws RangeError beyond 2^53 instead of rounding. */
export function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a JavaScript number`)
  return value
}

/** int8 becomes a checked number and date stays `YYYY-MM-DD` (a Date would move with the local time zone). */
const typeParsers: CustomTypesConfig = {
  getTypeParser(oid, format) {
    if (format !== 'binary' && oid === INT8_OID) return parseInt8
    if (format !== 'binary' && oid === DATE_OID) return (text: string) => text
    return types.getTypeParser(oid, format)
  },
}

/** The URL form of a connection; Unix sockets are written with `?host=`. */
export function connectionUrl(connection: DatabaseConnection): string {
  const { host, port, user, password, database } = connection
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  const name = encodeURIComponent(database)
  if (host.startsWith('/')) {
    return `postgresql://${login}@/${name}?host=${encodeURIComponent(host)}&port=${port}`
  }
  return `postgresql://${login}@${host.includes(':') ? `[${host}]` : host}:${port}/${name}`
}

/**
 * Opens a pool on a PostgreSQL database and gives a Kysely over it; nothing is connected until the first query.
 * int8 is a number (RangeError beyond 2^53), numeric a string, timestamptz a Date, date a `YYYY-MM-DD` string.
 * `destroy()` closes the pool.
 */
export function createDatabase<DB>(options: DatabaseOptions): Kysely<DB> {
  const { url, connection } = options
  const target: PoolConfig | undefined = url !== undefined ? { connectionString: url } : connection
  if (target === undefined) throw new TypeError('createDatabase needs a url or a connection')
  const pool = new Pool({
    ...target,
    max: options.poolSize ?? 10,
    application_name: options.applicationName ?? 'ringwall',
    statement_timeout: options.statementTimeoutMs ?? 60_000,
    // A transaction left open holds back vacuum and its locks.
    idle_in_transaction_session_timeout: 60_000,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    keepAlive: true,
    types: typeParsers,
  })
  // A connection lost between two queries, also inside a transaction, reports itself as an event, and an event
  // without a listener would end the process. The pool says the same again for idle ones.
  pool.on('connect', (client) => {
    client.on('error', (error) => options.logger?.warn({ err: error }, 'lost a database connection'))
  })
  pool.on('error', () => {})
  return new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
}

/** Settings that make an acknowledged commit survive a power cut, in the order they are reported. */
export const DURABLE_SETTINGS: readonly string[] = ['fsync', 'full_page_writes', 'synchronous_commit']

/** Throws AppError database_unsafe when the server would lose committed data in a power cut. */
export async function assertDurable<DB>(db: Kysely<DB>): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select name from pg_settings where name = any(${DURABLE_SETTINGS}) and setting = 'off' order by name`.execute(
    db,
  )
  if (rows.length > 0)
    throw new AppError('database_unsafe', { setting: rows.map(({ name }) => name).join(', ') })
}
