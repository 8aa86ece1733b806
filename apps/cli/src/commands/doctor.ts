import { accessSync, constants, existsSync, readdirSync, statfsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { formatTable } from '../output.ts'

type Check = { feature: string; status: 'ok' | 'missing' | 'degraded'; how: string }

const minimumFreeBytes = 2 * 1024 ** 3

function hasCommand(name: string): boolean {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .concat('/usr/sbin', '/sbin')
    .some((folder) => {
      try {
        accessSync(join(folder, name), constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

function hasPostgres(): boolean {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : []
  return (
    hasCommand('postgres') ||
    versions.some(
      (version) => Number(version) >= 15 && existsSync(`/usr/lib/postgresql/${version}/bin/postgres`),
    )
  )
}

function freeBytes(home: string): number {
  const { bavail, bsize } = statfsSync(existsSync(home) ? home : '/')
  return bavail * bsize
}

function checks(home: string): Check[] {
  const isRoot = process.getuid?.() === 0
  const present = (
    feature: string,
    isThere: boolean,
    otherwise: 'missing' | 'degraded',
    how: string,
  ): Check => ({ feature, status: isThere ? 'ok' : otherwise, how: isThere ? '' : how })
  return [
    present(
      'center: PostgreSQL 15 or newer',
      hasPostgres() || process.env.DATABASE_URL !== undefined,
      'missing',
      'apt-get install postgresql-15, or set DATABASE_URL',
    ),
    present('agent: whole-machine scan and quarantine', isRoot, 'degraded', 'run as root'),
    present(
      'agent: extended attributes and ACLs in quarantine',
      hasCommand('getfattr') && hasCommand('setfattr'),
      'degraded',
      'apt-get install attr',
    ),
    present(
      'agent: idle I/O priority of scans',
      hasCommand('ionice'),
      'degraded',
      'apt-get install util-linux',
    ),
    present(
      'agent: as a service',
      existsSync('/run/systemd/system'),
      'degraded',
      'needs systemd; run `ringwall agent run` otherwise',
    ),
    present(
      'scanner: YARA-X on this processor',
      process.arch === 'x64',
      'missing',
      'the scanner needs linux-x64 with glibc',
    ),
    present(
      `disk: 2 GiB free for ${home}`,
      freeBytes(home) > minimumFreeBytes,
      'degraded',
      'free some space, or set RINGWALL_HOME',
    ),
    present('tests: browser walk', hasCommand('chromium'), 'missing', 'apt-get install chromium'),
    present(
      'bench: peer scanner',
      hasCommand('clamdscan') && hasCommand('clamd'),
      'missing',
      'apt-get install clamav clamav-daemon',
    ),
  ]
}

/** `ringwall doctor`: exits with 1 when something is missing altogether. */
export async function doctor(context: Context, options: { json?: boolean }): Promise<number> {
  const results = checks(context.home)
  const { table, doctor: words } = context.text
  if (options.json) context.print(JSON.stringify(results, null, 2))
  else
    process.stdout.write(
      formatTable(
        [table.status, table.feature, table.how],
        results.map((check) => [words[check.status], check.feature, check.how]),
      ),
    )
  return results.some((check) => check.status === 'missing') ? exitCodes.failed : exitCodes.ok
}
