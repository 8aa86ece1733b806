import type { AgentCaps } from '@ringwall/contracts'
import { findOwnCgroup, parsePressureMs, type ReadText, readText } from '../platform/cgroup.ts'

/** A cap is told for this long after it bit, so that a heartbeat shows it. */
const toldMs = 60_000
/** Throttled in more than this share of the periods. */
const throttledShare = 0.25
/** Waiting for memory for more than this share of the time: reclaiming the page cache alone is no trouble. */
const stalledShare = 0.1

/** Lines of `key value`, as in memory.events and cpu.stat. */
export function parseKeyed(text: string | undefined): Record<string, number> {
  const values: Record<string, number> = {}
  for (const line of (text ?? '').split('\n')) {
    const [key, value] = line.split(' ')
    if (key !== undefined && value !== undefined && /^\d+$/.test(value)) values[key] = Number(value)
  }
  return values
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
export function createCapsMeter(options: { nowMs: () => number; read?: ReadText }) {
  const { nowMs, read = readText } = options
  const own = findOwnCgroup(read)
  const file = (name: string) => (own === undefined ? undefined : read(`${own.dir}/${name}`))
  const sample = () => ({
    atMs: nowMs(),
    memory: parseKeyed(file('memory.events')),
    cpu: parseKeyed(file('cpu.stat')),
    stalledMs: parsePressureMs(file('memory.pressure')) ?? 0,
  })
  let last = sample()
  const bitAtMs = { cap_memory: Number.NEGATIVE_INFINITY, cap_cpu: Number.NEGATIVE_INFINITY }

  return (): { caps: AgentCaps | undefined; problems: ('cap_memory' | 'cap_cpu')[] } => {
    const memoryBytes = limit(file('memory.current'))
    if (own === undefined || memoryBytes === null) return { caps: undefined, problems: [] }
    const next = sample()
    const grown = (name: 'memory' | 'cpu', key: string) => (next[name][key] ?? 0) - (last[name][key] ?? 0)
    const isStalled = next.stalledMs - last.stalledMs > (next.atMs - last.atMs) * stalledShare
    if (
      grown('memory', 'max') + grown('memory', 'oom_kill') > 0 ||
      (grown('memory', 'high') > 0 && isStalled)
    )
      bitAtMs.cap_memory = next.atMs
    if (grown('cpu', 'nr_throttled') > Math.max(1, grown('cpu', 'nr_periods')) * throttledShare)
      bitAtMs.cap_cpu = next.atMs
    last = next
    return {
      problems: (['cap_memory', 'cap_cpu'] as const).filter((code) => next.atMs - bitAtMs[code] < toldMs),
      caps: {
        cgroup: own.name.slice(0, 500),
        memoryBytes,
        memoryPeakBytes: limit(file('memory.peak')),
        memoryHighBytes: limit(file('memory.high')),
        memoryMaxBytes: limit(file('memory.max')),
        memoryHighEvents: next.memory.high ?? 0,
        memoryKills: next.memory.oom_kill ?? 0,
        cpuLimitPercent: parseCpuMax(file('cpu.max')),
        cpuThrottledPeriods: next.cpu.nr_throttled ?? 0,
        cpuThrottledMs: Math.round((next.cpu.throttled_usec ?? 0) / 1000),
        tasksMax: limit(file('pids.max')),
      },
    }
  }
}
