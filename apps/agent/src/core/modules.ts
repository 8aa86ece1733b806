import type { ModuleUsage } from '@ringwall/contracts'

const sampleMs = 5_000

/** What a module used so far; its processor time starts again with its thread or process. */
export type ModuleSample = {
  module: ModuleUsage['module']
  cpuMs: number
  memoryBytes: number | null
  eventsPerSecond: number
  /** A thread of this process, whose time is in the process's, too. */
  isThread: boolean
}

/** Processor shares of the agent's modules, measured every few seconds: the scan thread, the link, and the rest. */
export function createModuleMeter(options: {
  samples: () => Promise<ModuleSample[]>
  /** Events reported so far. */
  events: () => number
}) {
  let usage: ModuleUsage[] = []
  let before = new Map<string, number>()
  let last = { atMs: performance.now(), events: options.events() }

  async function measure(): Promise<void> {
    const own = process.threadCpuUsage()
    const linkMs = (own.user + own.system) / 1000
    const all = process.cpuUsage()
    const samples = await options.samples()
    const otherMs = samples.reduce((sum, { cpuMs, isThread }) => sum + (isThread ? cpuMs : 0), linkMs)
    const atMs = performance.now()
    const elapsedMs = Math.max(1, atMs - last.atMs)
    const events = options.events()
    const every: ModuleSample[] = [
      {
        module: 'link',
        cpuMs: linkMs,
        memoryBytes: null,
        eventsPerSecond: ((events - last.events) * 1000) / elapsedMs,
        isThread: true,
      },
      {
        module: 'core',
        cpuMs: Math.max(0, (all.user + all.system) / 1000 - otherMs),
        memoryBytes: process.memoryUsage.rss(),
        eventsPerSecond: 0,
        isThread: true,
      },
      ...samples,
    ]
    usage = every.map(({ module, cpuMs, memoryBytes, eventsPerSecond }) => {
      const from = before.get(module) ?? 0
      const usedMs = cpuMs >= from ? cpuMs - from : cpuMs
      const cpuPercent = Math.round((usedMs / elapsedMs) * 1000) / 10
      return { module, cpuPercent, memoryBytes, eventsPerSecond: Math.round(eventsPerSecond * 10) / 10 }
    })
    before = new Map(every.map(({ module, cpuMs }) => [module, cpuMs]))
    last = { atMs, events }
  }

  const timer = setInterval(() => void measure().catch(() => undefined), sampleMs)
  timer.unref()
  return { usage: () => usage, stop: () => clearInterval(timer) }
}
