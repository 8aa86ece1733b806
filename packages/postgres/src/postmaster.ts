import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readFile, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '@ringwall/contracts'
import { Client } from 'pg'
import type { PostgresBinaries } from './binaries.ts'
import { ADMIN_ROLE, type ClusterPasswords, serverArguments, socketPath } from './cluster-files.ts'
import { isConnectionError } from './database-errors.ts'
import type { DatabaseLogger } from './logger.ts'
import type { OsAccount } from './os-account.ts'
import { findPostmaster, isServerName } from './postmaster-file.ts'
import { isSameProcessRunning, type ProcessStat, processesWorkingIn, readProcessStat } from './processes.ts'

const POLL_MS = 10
/** Crash recovery may take minutes; each attempt then costs the server a process, so ask less often. */
const RECOVERY_POLL_MS = 100
const PROGRESS_LOG_MS = 10_000
/** A backend that outlived its postmaster ends with its current statement. */
const ORPHAN_WAIT_MS = 60_000
const FAST_SHUTDOWN_WAIT_MS = 60_000

/** A server process and where it listens. */
export interface Postmaster {
  process: ProcessStat
  socketDir: string
  port: number
}

/**
 * Makes the data directory safe to start on: waits for backends a killed postmaster left behind (two servers on one
 * directory destroy it) and removes a `postmaster.pid` whose pid now is a zombie or another program.
 */
export async function clearLeftovers(
  dataDir: string,
  logger: DatabaseLogger,
  signal: AbortSignal,
): Promise<void> {
  const directory = await realpath(dataDir)
  const deadline = Date.now() + ORPHAN_WAIT_MS
  for (;;) {
    const orphans = processesWorkingIn(directory).filter(({ name }) => isServerName(name))
    if (orphans.length === 0) break
    if (Date.now() > deadline) {
      const pids = orphans.map(({ pid }) => pid).join(', ')
      throw new AppError('database_unavailable', {
        reason: `processes of an earlier server still run: ${pids}`,
      })
    }
    await sleep(POLL_MS, undefined, { signal })
  }
  const state = findPostmaster(directory)
  if (state.kind !== 'misleading') return
  logger.warn({ pid: state.pid, reason: state.reason }, 'removing a stale postmaster.pid')
  await rm(join(directory, 'postmaster.pid'), { force: true })
}

/**
 * Starts a server in a session of its own, so that neither the terminal nor our death ends it.
 * What it prints before its own log is open goes to `<dataDir>.start.log`.
 */
export async function launchPostmaster(
  dataDir: string,
  socketDir: string,
  port: number,
  binaries: PostgresBinaries,
  account: OsAccount,
): Promise<Postmaster> {
  const log = await open(startLog(dataDir), 'w', 0o600)
  try {
    const child = spawn(join(binaries.binDir, 'postgres'), serverArguments(dataDir, socketDir), {
      ...account.spawn,
      cwd: '/',
      detached: true,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
      stdio: ['ignore', log.fd, log.fd],
    })
    await once(child, 'spawn')
    child.unref()
    const pid = child.pid
    const stat = pid === undefined ? undefined : readProcessStat(pid)
    if (stat === undefined) throw new Error('the server ended at once')
    return { process: stat, socketDir, port }
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      { reason: `cannot run ${binaries.binDir}/postgres` },
      { cause },
    )
  } finally {
    await log.close()
  }
}

function startLog(dataDir: string): string {
  return `${dataDir}.start.log`
}

/** The last lines the server printed while it started. */
export async function startLogTail(dataDir: string): Promise<string> {
  const text = await readFile(startLog(dataDir), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-5).join(' | ')
}

async function connectAdmin(
  postmaster: Postmaster,
  passwords: ClusterPasswords,
): Promise<{ client: Client } | { error: unknown }> {
  const client = new Client({
    host: postmaster.socketDir,
    port: postmaster.port,
    user: ADMIN_ROLE,
    password: passwords.admin,
    database: 'postgres',
    application_name: 'ringwall supervisor',
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return { client }
  } catch (error) {
    await client.end().catch(() => {})
    return { error }
  }
}

/**
 * Waits until the server accepts us and returns an administrator's connection; undefined when the process ended
 * first. Recovery after a crash takes as long as it takes: only `signal` ends the wait. Throws AppError
 * database_unavailable when the server refuses our password.
 */
export async function waitUntilReady(
  postmaster: Postmaster,
  passwords: ClusterPasswords,
  logger: DatabaseLogger,
  signal: AbortSignal,
): Promise<Client | undefined> {
  const path = socketPath(postmaster.socketDir, postmaster.port)
  const startedAt = Date.now()
  let nextLogAt = startedAt + PROGRESS_LOG_MS
  while (isSameProcessRunning(postmaster.process)) {
    let pauseMs = POLL_MS
    if (existsSync(path)) {
      const attempt = await connectAdmin(postmaster, passwords)
      if ('client' in attempt) return attempt.client
      if (!isConnectionError(attempt.error)) {
        throw new AppError(
          'database_unavailable',
          { reason: 'the server refuses us' },
          { cause: attempt.error },
        )
      }
      if (Date.now() - startedAt > 1_000) pauseMs = RECOVERY_POLL_MS
    }
    if (Date.now() >= nextLogAt) {
      logger.warn(
        { pid: postmaster.process.pid, waitedMs: Date.now() - startedAt },
        'database is still starting',
      )
      nextLogAt += PROGRESS_LOG_MS
    }
    await sleep(pauseMs, undefined, { signal })
  }
  return undefined
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended in between.
  }
}

async function waitForEnd(known: ProcessStat, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (isSameProcessRunning(known)) {
    if (Date.now() > deadline) return false
    await sleep(POLL_MS)
  }
  return true
}

/**
 * Stops the server and waits: fast shutdown (SIGINT) first, and if a checkpoint hangs for a minute an immediate one
 * (SIGQUIT), after which the next start recovers from the log without loss.
 */
export async function stopPostmaster(known: ProcessStat, logger: DatabaseLogger): Promise<void> {
  if (!isSameProcessRunning(known)) return
  kill(known.pid, 'SIGINT')
  if (await waitForEnd(known, FAST_SHUTDOWN_WAIT_MS)) return
  logger.warn({ pid: known.pid }, 'database does not shut down; stopping it at once')
  kill(known.pid, 'SIGQUIT')
  if (await waitForEnd(known, FAST_SHUTDOWN_WAIT_MS)) return
  throw new AppError('database_unavailable', { reason: `the server (pid ${known.pid}) does not stop` })
}
