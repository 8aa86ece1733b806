import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { appendFile, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AppError } from '@ringwall/contracts'
import type { PostgresBinaries } from './binaries.ts'
import type { OsAccount } from './os-account.ts'

const run = promisify(execFile)

/** The role that owns the server; only this package uses it. */
export const ADMIN_ROLE = 'ringwall_admin'
/** Part of the socket's file name; the server listens on no TCP port. */
export const SOCKET_PORT = 5432
/** sun_path holds 108 bytes with the closing zero (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107

/** Small defaults, written once: an operator may change them in postgresql.conf. */
const INITIAL_SETTINGS = `
# Written by Ringwall when the cluster was made; change as needed.
shared_buffers = 64MB
max_connections = 60
maintenance_work_mem = 64MB
max_wal_size = 1GB
wal_compression = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_lock_waits = on
`

/** Settings given on the command line, which no file and no ALTER SYSTEM can override. */
export function serverArguments(dataDir: string, socketDir: string): string[] {
  const settings = {
    listen_addresses: '',
    port: String(SOCKET_PORT),
    unix_socket_directories: `"${socketDir.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
  }
  return ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

/** The socket file the server makes in `socketDir`. */
export function socketPath(socketDir: string, port: number): string {
  return join(socketDir, `.s.PGSQL.${port}`)
}

/**
 * Where the socket goes: `<runDir>/socket`, or a short directory named by the hash of the data directory when
 * that path would be too long for a Unix socket.
 */
export function chooseSocketDir(runDir: string, dataDir: string, isRoot: boolean): string {
  const uid = process.geteuid?.() ?? 0
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  const candidates = [
    join(runDir, 'socket'),
    isRoot ? `/run/ringwall-${hash}` : join(tmpdir(), `ringwall-${uid}-${hash}`),
  ]
  const fitting = candidates.find(
    (dir) => Buffer.byteLength(socketPath(dir, SOCKET_PORT)) <= MAX_SOCKET_PATH_BYTES,
  )
  return fitting ?? `/tmp/ringwall-${uid}-${hash}`
}

/** Passwords of the two roles of a managed cluster. */
export interface ClusterPasswords {
  admin: string
  app: string
}

function passwordFile(dataDir: string): string {
  return `${dataDir}.passwords`
}

/** Reads the passwords kept beside the data directory. Throws AppError database_unavailable when they are lost. */
export async function readPasswords(dataDir: string): Promise<ClusterPasswords> {
  const path = passwordFile(dataDir)
  const [admin, app] = (await readFile(path, 'utf8').catch(() => '')).split('\n')
  if (!admin || !app) throw new AppError('database_unavailable', { reason: `${path} is missing or damaged` })
  return { admin, app }
}

/** The major version of the data directory, or undefined when there is none yet. */
export async function dataDirMajor(dataDir: string): Promise<number | undefined> {
  const text = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : Number.parseInt(text, 10)
}

/**
 * Makes a new cluster: data checksums, UTF-8, locale C, SCRAM passwords for everyone. It is built beside its place
 * and renamed into it, so a crash never leaves half a cluster. Throws AppError database_unavailable.
 */
export async function initialiseCluster(
  dataDir: string,
  binaries: PostgresBinaries,
  account: OsAccount,
  signal: AbortSignal,
): Promise<void> {
  const building = `${dataDir}.new`
  const adminPasswordFile = `${dataDir}.new-password`
  const passwords: ClusterPasswords = {
    admin: randomBytes(24).toString('hex'),
    app: randomBytes(24).toString('hex'),
  }
  await rm(building, { recursive: true, force: true })
  await rm(adminPasswordFile, { force: true })
  await writeFile(passwordFile(dataDir), `${passwords.admin}\n${passwords.app}\n`, {
    mode: 0o600,
    flush: true,
  })
  await writeFile(adminPasswordFile, `${passwords.admin}\n`, { mode: 0o600, flag: 'wx' })
  await mkdir(building, { mode: 0o700 })
  if (account.spawn.uid !== undefined) {
    await chown(building, account.uid, account.gid)
    await chown(adminPasswordFile, account.uid, account.gid)
  }
  const layout = ['-D', building, '-U', ADMIN_ROLE, `--pwfile=${adminPasswordFile}`, '--auth=scram-sha-256']
  const format = ['--encoding=UTF8', '--locale=C', '--data-checksums', '--no-instructions']
  try {
    const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' }
    await run(join(binaries.binDir, 'initdb'), [...layout, ...format], {
      ...account.spawn,
      env,
      cwd: '/',
      signal,
    })
    await appendFile(join(building, 'postgresql.conf'), INITIAL_SETTINGS, { flush: true })
    await rename(building, dataDir)
  } catch (cause) {
    signal.throwIfAborted()
    throw new AppError('database_unavailable', { reason: `cannot make a cluster in ${dataDir}` }, { cause })
  } finally {
    await rm(adminPasswordFile, { force: true })
  }
}
