import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { chmod, chown, lstat, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { AppError } from '@ringwall/contracts'

const run = promisify(execFile)

/** The operating system account the database server runs under. `spawn` is empty when that is our own. */
export interface OsAccount {
  uid: number
  gid: number
  spawn: { uid?: number; gid?: number }
}

async function lookUp(name: string): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', '--', name]), run('id', ['-g', '--', name])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}

/**
 * The account for the server: our own unless we are root, which PostgreSQL refuses to run as. As root the system
 * account `osUser` is used and made when missing. Throws AppError database_unavailable when that fails.
 */
export async function resolveOsAccount(osUser: string): Promise<OsAccount> {
  const uid = process.geteuid?.() ?? 0
  const gid = process.getegid?.() ?? 0
  if (uid !== 0) return { uid, gid, spawn: {} }
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(osUser)) {
    throw new AppError('database_unavailable', { reason: `bad account name ${osUser}` })
  }
  let found = await lookUp(osUser)
  if (found === undefined) {
    const args = ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent']
    try {
      await run('useradd', [...args, '--shell', '/usr/sbin/nologin', osUser])
    } catch (cause) {
      throw new AppError('database_unavailable', { reason: `cannot create the account ${osUser}` }, { cause })
    }
    found = await lookUp(osUser)
  }
  if (found === undefined || found.uid === 0) {
    throw new AppError('database_unavailable', { reason: `cannot run as the account ${osUser}` })
  }
  return { ...found, spawn: found }
}

/**
 * Makes `path` a directory that only `account` may enter. A directory that is a link or belongs to a third
 * account is refused, so nobody can prepare it for us in a shared place such as /tmp.
 */
export async function ensurePrivateDirectory(path: string, account: OsAccount): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const found = await lstat(path)
  const isOurs = found.uid === account.uid || found.uid === process.geteuid?.()
  if (!found.isDirectory() || !isOurs) {
    throw new AppError('database_unavailable', { reason: `${path} is not a directory of our own` })
  }
  if (found.uid !== account.uid || found.gid !== account.gid) await chown(path, account.uid, account.gid)
  await chmod(path, 0o700)
}

/** Throws AppError database_unavailable naming the first parent directory of `path` the account may not pass. */
export async function assertReachable(path: string, account: OsAccount): Promise<void> {
  if (account.spawn.uid === undefined) return
  const parents: string[] = []
  for (let at = dirname(path); ; at = dirname(at)) {
    parents.unshift(at)
    if (at === dirname(at)) break
  }
  for (const parent of parents) {
    const { mode, uid, gid } = await stat(parent)
    const bit =
      uid === account.uid ? constants.S_IXUSR : gid === account.gid ? constants.S_IXGRP : constants.S_IXOTH
    if ((mode & bit) === 0) {
      throw new AppError('database_unavailable', {
        reason: `the database account (uid ${account.uid}) may not pass ${parent}, needed for ${path}`,
      })
    }
  }
}
