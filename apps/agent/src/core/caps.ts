import type { AgentCaps } from '@ringwall/contracts'
import { findOwnCgroup, parsePressureMs, type ReadText, readText } from '../platform/cgroup.ts'

/** A cap is told for this long after it bit, so that a heartbeat shows it; an end longer, for a start comes first. */
const toldMs = 60_000
const endToldMs = 600_000
/** Throttled in more than this share of the periods. */
const throttledShare = 0.25
/** Waiting for memory for more than this share of the time: reclaiming the page cache alone is no trouble. */
const stalledShare = 0.1

const capProblems = ['cap_memory', 'cap_cpu', 'cap_tasks'] as const
type CapProblem = (typeof capProblems)[number]

/** Lines of `key value`, as in memory.events and cpu.stat. */
export function parseKeyed(text: string | undefined): Record<string, number> {
  const values: Record<string, number> = {}
  for (const line of (text ?? '').split('\n')) {
    const [key, value] = line.split(' ')
    if (key !== undefined && value !== undefined && /^\d+$/.test(value)) values[key] = Number(value)
  }
  return values
}

/** `memory-kills` of deploy/ringwall: how many starts ended for want of memory, and when the last one did. */
export function parseEnds(text: string | undefined): { count: number; lastAtMs: number } {
  const match = /^(\d{1,9}) (\d{1,12})$/.exec(text ?? '')
  return match === null
    ? { count: 0, lastAtMs: Number.NEGATIVE_INFINITY }
    : { count: Number(match[1]), lastAtMs: Number(match[2]) * 1000 }
}

const limit = (text: string | undefined) => (text === undefined || !/^\d+$/.test(text) ? null : Number(text))

/** `cpu.max`: quota and period in microseconds, as percent of one processor. */
export function parseCpuMax(text: string | undefined): number | null {
  const match = /^(\d+) (\d+)$/.exec(text ?? '')
  return match === null ? null : Math.round((Number(match[1]) / Number(match[2])) * 100)
}

/**
 * The limits that the system holds this process to, read from its own cgroup, and the problem codes of those that
 * bite. Answers no caps where the process shares a cgroup or the system has none.
 */
export function createCapsMeter(options: {
  nowMs: () => number
  /** Where the ends of earlier starts are kept. */
  runtimeDir?: string | undefined
  read?: ReadText
}) {
  const { nowMs, runtimeDir, read = readText } = options
  const own = findOwnCgroup(read)
  const file = (name: string) => (own === undefined ? undefined : read(`${own.dir}/${name}`))
  const sample = () => ({
    atMs: nowMs(),
    memory: parseKeyed(file('memory.events')),
    cpu: parseKeyed(file('cpu.stat')),
    tasks: parseKeyed(file('pids.events')),
    stalledMs: parsePressureMs(file('memory.pressure')) ?? 0,
  })
  // What happened since this start counts, also before the first look.
  let last = { ...sample(), tasks: {} as Record<string, number> }
  const ends = parseEnds(runtimeDir === undefined ? undefined : read(`${runtimeDir}/memory-kills`))
  const toldUntilMs: Record<CapProblem, number> = {
    cap_memory: ends.lastAtMs + endToldMs,
    cap_cpu: Number.NEGATIVE_INFINITY,
    cap_tasks: Number.NEGATIVE_INFINITY,
  }

  return (): { caps: AgentCaps | undefined; problems: CapProblem[] } => {
    const memoryBytes = limit(file('memory.current'))
    if (own === undefined || memoryBytes === null) return { caps: undefined, problems: [] }
    const next = sample()
    const grown = (name: 'memory' | 'cpu' | 'tasks', key: string) =>
      (next[name][key] ?? 0) - (last[name][key] ?? 0)
    const isStalled = next.stalledMs - last.stalledMs > (next.atMs - last.atMs) * stalledShare
    if (
      grown('memory', 'max') + grown('memory', 'oom_kill') > 0 ||
      (grown('memory', 'high') > 0 && isStalled)
    )
      toldUntilMs.cap_memory = Math.max(toldUntilMs.cap_memory, next.atMs + toldMs)
    if (grown('cpu', 'nr_throttled') > Math.max(1, grown('cpu', 'nr_periods')) * throttledShare)
      toldUntilMs.cap_cpu = next.atMs + toldMs
    if (grown('tasks', 'max') > 0) toldUntilMs.cap_tasks = next.atMs + toldMs
    last = next
    return {
      problems: capProblems.filter((code) => next.atMs < toldUntilMs[code]),
      caps: {
        cgroup: own.name.slice(0, 500),
        memoryBytes,
        memoryPeakBytes: limit(file('memory.peak')),
        memoryHighBytes: limit(file('memory.high')),
        memoryMaxBytes: limit(file('memory.max')),
        memoryHighEvents: next.memory.high ?? 0,
        memoryKills: ends.count + (next.memory.oom_kill ?? 0),
        cpuLimitPercent: parseCpuMax(file('cpu.max')),
        cpuThrottledPeriods: next.cpu.nr_throttled ?? 0,
        cpuThrottledMs: Math.round((next.cpu.throttled_usec ?? 0) / 1000),
        cpuWeight: limit(file('cpu.weight')),
        ioWeight: limit(
          file('io.weight')
            ?.replace(/^default /, '')
            .split('\n')[0],
        ),
        tasksMax: limit(file('pids.max')),
        tasksRefused: next.tasks.max ?? 0,
      },
    }
  }
}
