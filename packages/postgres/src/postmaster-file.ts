import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRunning, type ProcessStat, readProcessStat, workingDirectoryOf } from './processes.ts'

/** The lines of `postmaster.pid` we use (PostgreSQL src/include/utils/pidfile.h). */
export interface PostmasterFile {
  pid: number
  port: number | undefined
  socketDir: string | undefined
  /** `starting`, `stopping`, `ready` or `standby`. */
  status: string | undefined
}

/** Parses `postmaster.pid`; the server writes the later lines while it starts. Undefined without a pid. */
export function parsePostmasterFile(text: string): PostmasterFile | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  const pid = Number(lines[0])
  if (!Number.isSafeInteger(pid) || pid < 1) return undefined
  const port = Number(lines[3] ?? '')
  return {
    pid,
    port: Number.isSafeInteger(port) && port > 0 ? port : undefined,
    socketDir: lines[4] || undefined,
    status: lines[7] || undefined,
  }
}

/** Reads `postmaster.pid` of a data directory; undefined when it is missing or empty. */
export function readPostmasterFile(dataDir: string): PostmasterFile | undefined {
  try {
    return parsePostmasterFile(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8'))
  } catch {
    return undefined
  }
}

export type PostmasterState =
  | { kind: 'none' }
  | { kind: 'running'; file: PostmasterFile; process: ProcessStat }
  /** The process is gone; the server itself replaces such a file after checking its shared memory. */
  | { kind: 'dead'; pid: number }
  /** The pid is a zombie or another program: the server would take it for a living postmaster. */
  | { kind: 'misleading'; pid: number; reason: 'zombie' | 'reused' }

/** True for the program names PostgreSQL's own processes carry. */
export function isServerName(name: string): boolean {
  return name.startsWith('postgres') || name.startsWith('postmaster')
}

/**
 * Judges `postmaster.pid` against the process it names. A postmaster works in its data directory, which tells it
 * from a program that was given the same pid later.
 */
export function judgePostmaster(
  dataDir: string,
  file: PostmasterFile | undefined,
  process: ProcessStat | undefined,
  workingDir: string | undefined,
): PostmasterState {
  if (file === undefined) return { kind: 'none' }
  if (process === undefined) return { kind: 'dead', pid: file.pid }
  if (!isRunning(process)) return { kind: 'misleading', pid: file.pid, reason: 'zombie' }
  const isPostmaster = isServerName(process.name) && (workingDir === undefined || workingDir === dataDir)
  return isPostmaster
    ? { kind: 'running', file, process }
    : { kind: 'misleading', pid: file.pid, reason: 'reused' }
}

/** Looks at the postmaster of a data directory (an absolute real path). */
export function findPostmaster(dataDir: string): PostmasterState {
  const file = readPostmasterFile(dataDir)
  if (file === undefined) return { kind: 'none' }
  return judgePostmaster(dataDir, file, readProcessStat(file.pid), workingDirectoryOf(file.pid))
}
