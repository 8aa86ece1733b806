import { expect, it } from 'vitest'
import { findOwnCgroup } from '../platform/cgroup.ts'
import { createCapsMeter, parseCpuMax, parseEnds, parseKeyed } from './caps.ts'

const dir = '/sys/fs/cgroup/system.slice/ringwall-agent.service'
const stall = (ms: number) => `some avg10=0.00 avg60=0.00 avg300=0.00 total=${ms * 1000}\n`

function machine() {
  const files: Record<string, string> = {
    '/proc/self/cgroup': '0::/system.slice/ringwall-agent.service',
    '/proc/self/mounts': 'proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0',
    [`${dir}/memory.current`]: '81264640',
    [`${dir}/memory.peak`]: '99999744',
    [`${dir}/memory.high`]: '268435456',
    [`${dir}/memory.max`]: 'max',
    [`${dir}/memory.events`]: 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0',
    [`${dir}/memory.pressure`]: stall(0),
    [`${dir}/cpu.max`]: '150000 100000',
    [`${dir}/cpu.stat`]: 'usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0',
    [`${dir}/pids.max`]: '64',
    [`${dir}/pids.events`]: 'max 0',
    [`${dir}/cpu.weight`]: '20',
    [`${dir}/io.weight`]: 'default 20\n254:0 50',
  }
  const clock = { ms: 0 }
  const meter = createCapsMeter({ nowMs: () => clock.ms, read: (path) => files[path] })
  return { files, clock, meter }
}

it('reads the limits of its own cgroup', () => {
  expect(machine().meter()).toEqual({
    problems: [],
    caps: {
      cgroup: '/system.slice/ringwall-agent.service',
      memoryBytes: 81264640,
      memoryPeakBytes: 99999744,
      memoryHighBytes: 268435456,
      memoryMaxBytes: null,
      memoryHighEvents: 0,
      memoryKills: 0,
      cpuLimitPercent: 150,
      cpuThrottledPeriods: 0,
      cpuThrottledMs: 0,
      cpuWeight: 20,
      ioWeight: 20,
      tasksMax: 64,
      tasksRefused: 0,
    },
  })
})

it('says that a cap bites, and for a while that it did', () => {
  const { files, clock, meter } = machine()
  clock.ms = 10_000
  files[`${dir}/cpu.stat`] = 'nr_periods 100\nnr_throttled 60\nthrottled_usec 2000000'
  // Reclaiming its page cache, without waiting for it, is no trouble.
  files[`${dir}/memory.events`] = 'high 9\nmax 0\noom_kill 0'
  expect(meter()).toMatchObject({ problems: ['cap_cpu'], caps: { cpuThrottledMs: 2000 } })
  clock.ms = 20_000
  files[`${dir}/memory.events`] = 'high 12\nmax 0\noom_kill 0'
  files[`${dir}/memory.pressure`] = stall(5000)
  expect(meter().problems).toEqual(['cap_memory', 'cap_cpu'])
  clock.ms = 75_000
  expect(meter().problems).toEqual(['cap_memory'])
})

it('says that a thread or process could not be started', () => {
  const { files, clock, meter } = machine()
  files[`${dir}/pids.events`] = 'max 3'
  expect(meter()).toMatchObject({ problems: ['cap_tasks'], caps: { tasksRefused: 3 } })
  clock.ms = 61_000
  expect(meter()).toMatchObject({ problems: [], caps: { tasksRefused: 3 } })
})

it('knows that starts before this one ended for want of memory', () => {
  const { files, clock } = machine()
  files['/run/ringwall-agent/memory-kills'] = '2 1000'
  clock.ms = 1_030_000
  const read = (path: string) => files[path]
  const meter = createCapsMeter({ nowMs: () => clock.ms, runtimeDir: '/run/ringwall-agent', read })
  expect(meter()).toMatchObject({ problems: ['cap_memory'], caps: { memoryKills: 2 } })
  clock.ms = 1_700_000
  expect(meter()).toMatchObject({ problems: [], caps: { memoryKills: 2 } })
  expect(parseEnds('2')).toEqual({ count: 0, lastAtMs: Number.NEGATIVE_INFINITY })
})

it('tells nothing where the process shares a cgroup', () => {
  expect(
    findOwnCgroup((path) => (path === '/proc/self/cgroup' ? '5:cpu:/x\n0::/' : undefined)),
  ).toBeUndefined()
  expect(createCapsMeter({ nowMs: () => 0, read: () => undefined })()).toEqual({
    caps: undefined,
    problems: [],
  })
  expect(parseKeyed('high x\nmax 3 4\n\nlow')).toEqual({ max: 3 })
  expect(parseCpuMax('max 100000')).toBeNull()
})
