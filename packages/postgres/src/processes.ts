import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What `/proc/PID/stat` says about one process (proc(5)). */
export interface ProcessStat {
  pid: number
  /** Program name, at most 15 bytes. */
  name: string
  /** One letter: R, S, D, Z (zombie), X (dead), ... */
  state: string
  /** Start time in clock ticks since boot; together with the pid it identifies a process. */
  startTicks: number
}

/**
 * Parses the text of `/proc/PID/stat` (proc(5)). The name may hold spaces and parentheses,
 * so it ends at the last `)`. Returns undefined for text of another shape.
 */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  if (open < 1 || close < open) return undefined
  const pid = Number(text.slice(0, open).trim())
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/)
  const state = fields[0]
  // Field 22 of the whole line; the first field after the name is number 3.
  const startTicks = Number(fields[19])
  if (!Number.isSafeInteger(pid) || pid < 1) return undefined
  if (state === undefined || !/^[A-Za-z]$/.test(state) || !Number.isSafeInteger(startTicks)) return undefined
  return { pid, name: text.slice(open + 1, close), state, startTicks }
}

/** True for a process that still runs: a zombie or a dead one only waits for its parent to read its status. */
export function isRunning(stat: ProcessStat): boolean {
  return stat.state !== 'Z' && stat.state !== 'X' && stat.state !== 'x'
}

/** Reads one process; undefined when there is none with that pid. */
export function readProcessStat(pid: number): ProcessStat | undefined {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

/** True while exactly this process (same pid and start time) runs. */
export function isSameProcessRunning(known: ProcessStat): boolean {
  const now = readProcessStat(known.pid)
  return now !== undefined && now.startTicks === known.startTicks && isRunning(now)
}

/** The working directory of a process, or undefined when it is gone or may not be read. */
export function workingDirectoryOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

/** The program file of a process, or undefined when it is gone or may not be read. */
export function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return undefined
  }
}

/** Running processes whose working directory is `directory` (an absolute real path). */
export function processesWorkingIn(directory: string): ProcessStat[] {
  const found: ProcessStat[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const pid = Number(entry)
    if (workingDirectoryOf(pid) !== directory) continue
    const stat = readProcessStat(pid)
    if (stat !== undefined && isRunning(stat)) found.push(stat)
  }
  return found
}
