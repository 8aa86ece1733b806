import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { chmod, chown, mkdir, realpath, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { sql } from 'kysely'
import { findPostgresBinaries, type PostgresBinaries } from './binaries.ts'
import {
  ADMIN_ROLE,
  chooseSocketDir,
  dataDirMajor,
  initialiseCluster,
  readPasswords,
  SOCKET_PORT,
  serverArguments,
} from './cluster-files.ts'
import { assertDurable, connectionUrl, createDatabase, type DatabaseConnection } from './database.ts'
import { isConnectionError } from './database-errors.ts'
import { withFileLock } from './file-lock.ts'
import type { DatabaseLogger } from './logger.ts'
import { assertReachable, ensurePrivateDirectory, type OsAccount, resolveOsAccount } from './os-account.ts'
import { findPostmaster } from './postmaster-file.ts'
import { isSameProcessRunning, readProcessStat } from './processes.ts'

/** The role and the database that the center uses. */
const APP_ROLE = 'ringwall'
const APP_DATABASE = 'ringwall'
const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 30_000
const POLL_MS = 10

export interface ManagedClusterOptions {
  /** Where the cluster lives; made when missing. Its parents must be passable for `osUser`. */
  dataDir: string
  /** Account of the server when this process is root; made when missing. Default `ringwall-db`. */
  osUser?: string
  /** Directories with server programs to prefer. */
  binDirs?: readonly string[]
  /** A directory with npm-packaged binaries, for evaluation only. */
  embeddedDir?: string | undefined
  logger: DatabaseLogger
  signal: AbortSignal
}

export interface ManagedCluster {
  connection: DatabaseConnection
  url: string
  /** Connection of the role that owns the server, for tests that make databases. */
  admin: DatabaseConnection
  pid: number
  version: string
  isEvaluation: boolean
  /** True when the server was already running, left by a center that died. */
  isAdopted: boolean
  /** Stops the server: open transactions are rolled back, committed data is safe. */
  stop: () => Promise<void>
}

/**
 * Starts (or adopts) the private PostgreSQL of this machine: Unix socket only, durable settings, own OS account.
 * Errors: database_not_found, database_unavailable, database_unsafe.
 */
export async function startManagedCluster(options: ManagedClusterOptions): Promise<ManagedCluster> {
  const { dataDir, logger, signal } = options
  const account = await resolveOsAccount(options.osUser ?? 'ringwall-db')
  const binaries = await findPostgresBinaries({
    binDirs: options.binDirs ?? [],
    embeddedDir: options.embeddedDir,
    major: await dataDirMajor(dataDir),
  })
  await prepareParent(dataDir, account)
  return await withFileLock(`${dataDir}.lock`, signal, async () => {
    if ((await dataDirMajor(dataDir)) === undefined) {
      logger.info({ dataDir, version: binaries.version }, 'making the database cluster')
      await initialiseCluster(dataDir, binaries, account, signal)
    }
    const realDir = await realpath(dataDir)
    const socketDir = chooseSocketDir(dirname(realDir), realDir, account.spawn.uid !== undefined)
    await ensurePrivateDirectory(socketDir, account)
    const { isAdopted } = await ensureRunning({ realDir, socketDir, account, binaries, logger })
    const passwords = await readPasswords(dataDir)
    const admin: DatabaseConnection = {
      host: socketDir,
      port: SOCKET_PORT,
      user: ADMIN_ROLE,
      password: passwords.admin,
      database: 'postgres',
    }
    const connection: DatabaseConnection = {
      ...admin,
      user: APP_ROLE,
      password: passwords.app,
      database: APP_DATABASE,
    }
    await waitUntilReady(admin, realDir, signal)
    await ensureDatabase(admin, connection)
    const state = findPostmaster(realDir)
    if (state.kind !== 'running')
      throw new AppError('database_unavailable', {
        reason: `the server of ${dataDir} ended while it started`,
      })
    return {
      connection,
      admin,
      url: connectionUrl(connection),
      pid: state.file.pid,
      version: binaries.version,
      isEvaluation: binaries.isEvaluation,
      isAdopted,
      stop: () => stopPostmaster(realDir),
    }
  })
}

async function prepareParent(dataDir: string, account: OsAccount): Promise<void> {
  const parent = dirname(dataDir)
  await mkdir(parent, { recursive: true, mode: 0o711 })
  if (account.spawn.uid !== undefined) {
    // The server only needs to create its files here; the passwords beside them stay root's.
    await chown(parent, account.uid, account.gid)
    await chmod(parent, 0o700)
  }
  await assertReachable(parent, account)
}

type Surroundings = {
  realDir: string
  socketDir: string
  account: OsAccount
  binaries: PostgresBinaries
  logger: DatabaseLogger
}

async function ensureRunning({
  realDir,
  socketDir,
  account,
  binaries,
  logger,
}: Surroundings): Promise<{ isAdopted: boolean }> {
  const state = findPostmaster(realDir)
  if (state.kind === 'running') {
    logger.warn({ pid: state.file.pid }, 'adopting the database server that an earlier center left running')
    return { isAdopted: true }
  }
  if (state.kind === 'misleading') {
    logger.warn({ pid: state.pid, reason: state.reason }, 'removing a stale postmaster.pid')
    await rm(join(realDir, 'postmaster.pid'), { force: true })
  }
  const log = openSync(`${realDir}.log`, 'a', 0o600)
  const child: ChildProcess = spawn(join(binaries.binDir, 'postgres'), serverArguments(realDir, socketDir), {
    ...account.spawn,
    cwd: '/',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  child.on('error', (error) => logger.error({ error }, 'the database server cannot be started'))
  child.unref()
  return { isAdopted: false }
}

async function waitUntilReady(
  admin: DatabaseConnection,
  realDir: string,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = Date.now() + START_TIMEOUT_MS
  let graceMs = 2_000
  for (;;) {
    signal.throwIfAborted()
    const db = createDatabase<unknown>({ connection: admin, poolSize: 1, connectTimeoutMs: 2_000 })
    try {
      await sql`select 1`.execute(db)
      return
    } catch (cause) {
      if (!isConnectionError(cause))
        throw new AppError(
          'database_unavailable',
          { reason: cause instanceof Error ? cause.message : String(cause) },
          { cause },
        )
      // A server that is not there after a grace ended: its log says why.
      if (findPostmaster(realDir).kind !== 'running') graceMs -= POLL_MS
      if (graceMs <= 0 || Date.now() > deadlineMs)
        throw new AppError(
          'database_unavailable',
          { reason: `the server did not start; see ${realDir}.log and ${realDir}/log` },
          { cause },
        )
    } finally {
      await db.destroy()
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

async function ensureDatabase(admin: DatabaseConnection, app: DatabaseConnection): Promise<void> {
  const db = createDatabase<unknown>({ connection: admin, poolSize: 1 })
  try {
    await assertDurable(db)
    const { rows: roles } = await sql`select 1 from pg_roles where rolname = ${app.user}`.execute(db)
    const login = sql.raw(`role ${APP_ROLE} login createdb password '${app.password}'`)
    await (roles.length === 0 ? sql`create ${login}` : sql`alter ${login}`).execute(db)
    const { rows: databases } = await sql`select 1 from pg_database where datname = ${app.database}`.execute(
      db,
    )
    if (databases.length === 0)
      await sql`create database ${sql.id(app.database)} owner ${sql.id(app.user)}`.execute(db)
  } finally {
    await db.destroy()
  }
}

async function stopPostmaster(realDir: string): Promise<void> {
  const state = findPostmaster(realDir)
  if (state.kind !== 'running') return
  const postmaster = readProcessStat(state.file.pid)
  if (postmaster === undefined) return
  // SIGINT is PostgreSQL's fast shutdown.
  process.kill(postmaster.pid, 'SIGINT')
  const deadlineMs = Date.now() + STOP_TIMEOUT_MS
  while (isSameProcessRunning(postmaster)) {
    if (Date.now() > deadlineMs)
      throw new AppError('timeout', { what: 'PostgreSQL shutdown', timeoutMs: STOP_TIMEOUT_MS })
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
