/**
 * Fifty real agents on five pretended hosts, all told to scan at once: with scan slots, without them, and with slots
 * while the center, the scanner and three agents are killed. ./ringwall bench storm
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSite, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { peaksOf, scanIntervals } from '../tests/e2e/scan-intervals.ts'
import { cpuSecondsOf, recordCpu, type Shares } from './cpu-recorder.ts'
import { say } from './figures.ts'
import { writeSection } from './section.ts'

const agents = Number(process.env.STORM_AGENTS ?? 50)
const hosts = 5
const filesEach = 300
/** Of one processor, for each scan: one scan a host makes this times the hosts at most. */
const cpuLimitPercent = 20
const leaseSeconds = 30
/** The peak of processor use is a mean of this long: a scan keeps to its share over time, not in each moment. */
const cpuWindowMs = 10_000
/** Until what a start leaves behind is done; and how long idle work is measured. */
const settleMs = 15_000
const idleMs = 20_000
const endMs = 3_600_000

const names = Array.from({ length: agents }, (_, index) => `agent-${index}`)

/** Contents that nobody has seen before this round: half of them the same on all machines, as with clones. */
function growTrees(trees: string, round: string): void {
  for (const name of names)
    for (let index = 0; index < filesEach; index += 1) {
      const folder = join(trees, name, String(index % 20))
      mkdirSync(folder, { recursive: true })
      const owner = index % 2 === 0 ? 'everybody' : name
      writeFileSync(join(folder, `${index}.txt`), `${owner} ${round} ${index}\n`.repeat(400))
    }
}

type Round = {
  name: string
  wallSeconds: number
  peakPerHost: number
  peak: number
  /** Of agents while they were scanned, and of all agents all the time. */
  cpuOfScans: Shares
  cpu: Shares
  completed: number
}

async function runRound(
  site: Site,
  name: string,
  idOf: ReadonlyMap<string, string>,
  hostOf: ReadonlyMap<string, string>,
  given: {
    ignoreLimits: boolean
    disturb?: (scanIds: string[], kills: Map<string, number>) => Promise<void>
  },
): Promise<Round> {
  growTrees(join(site.root, 'trees'), name)
  say(`${name}: all ${agents} told to scan`)
  const kills = new Map<string, number>()
  const startedAtMs = Date.now()
  const scanIds = await Promise.all(
    names.map(async (agent) => {
      const { body } = await site.api('POST', '/scans', {
        machineIds: [idOf.get(agent)],
        paths: [join(site.root, 'trees', agent)],
        ignoreLimits: given.ignoreLimits,
      })
      return ((body as Json).scan as Json).id as string
    }),
  )
  const recorder = recordCpu(names, (agent) => site.running.get(agent)?.pid ?? 0)
  await given.disturb?.(scanIds, kills)
  const ended: Json[] = []
  for (const scanId of scanIds) ended.push(await site.endOf(scanId, endMs))
  recorder.stop()
  const intervals = await scanIntervals(site, hostOf, scanIds, kills)
  const byMachine = Map.groupBy(intervals, ({ machineId }) => machineId)
  const peaks = peaksOf(intervals)
  const round = {
    name,
    wallSeconds: (Date.now() - startedAtMs) / 1000,
    peakPerHost: Math.max(...peaks.perHost.values()),
    peak: peaks.total,
    cpuOfScans: recorder.shares(cpuWindowMs, (agent) => byMachine.get(idOf.get(agent) ?? '') ?? []),
    cpu: recorder.shares(cpuWindowMs),
    completed: ended.filter(({ state }) => state === 'completed').length,
  }
  say(JSON.stringify(round))
  return round
}

/** What all agents together use of a processor while they have nothing to do. */
async function idlePercent(site: Site): Promise<number> {
  const used = () => names.reduce((sum, name) => sum + cpuSecondsOf(site.running.get(name)?.pid ?? 0), 0)
  await new Promise((resolve) => setTimeout(resolve, settleMs))
  const before = used()
  await new Promise((resolve) => setTimeout(resolve, idleMs))
  return ((used() - before) * 100_000) / idleMs
}

async function main(): Promise<void> {
  const site = await createSite()
  try {
    await site.startScanner()
    const hostOf = new Map<string, string>()
    const idOf = new Map<string, string>()
    const waiting = names.values()
    const enrol = async () => {
      for (const name of waiting) {
        const id = await site.startAgent(name)
        const host = `host-${names.indexOf(name) % hosts}`
        hostOf.set(id, host)
        idOf.set(name, id)
        await site.api('PATCH', `/machines/${id}`, { labels: [`host:${host}`] })
        if (idOf.size % 10 === 0) say(`${idOf.size} agents are online`)
      }
    }
    await Promise.all([enrol(), enrol(), enrol()])
    const slotPolicy = (await site.get<{ policy: Json }>('/policies/scan-slots')).policy
    const off = {
      cpuPressurePercent: 100,
      ioPressurePercent: 100,
      memoryPressurePercent: 100,
      stealPercent: 100,
    }
    await site.api('PUT', '/policies/scan-slots', { ...slotPolicy, leaseSeconds, backoff: off })
    const malwarePolicy = (await site.get<{ policy: Json }>('/policies/malware')).policy
    await site.api('PUT', '/policies/malware', { ...malwarePolicy, cpuLimitPercent })

    const idle = await idlePercent(site)
    const rounds = [
      await runRound(site, 'with slots', idOf, hostOf, { ignoreLimits: false }),
      await runRound(site, 'without slots', idOf, hostOf, { ignoreLimits: true }),
      await runRound(site, 'with slots, and killed in the middle', idOf, hostOf, {
        ignoreLimits: false,
        disturb: async (scanIds, kills) => await killInTheMiddle(site, scanIds, idOf, kills),
      }),
    ]
    report(rounds, idle)
  } finally {
    await site.close()
  }
}

/** Kills the center, the scanner and three agents that are being scanned; the last of them stays away for longer than its slot. */
async function killInTheMiddle(
  site: Site,
  scanIds: readonly string[],
  idOf: ReadonlyMap<string, string>,
  kills: Map<string, number>,
): Promise<void> {
  await waitFor(
    'a fifth of the machines',
    async () => {
      const { queue } = await site.get<{ queue: { running: number; waiting: number } }>('/scan-queue')
      return scanIds.length - queue.running - queue.waiting >= agents / 5 ? true : undefined
    },
    endMs,
  )
  const running = new Set(
    (await site.list('/scan-queue/entries?state=running')).map(({ machineId }) => machineId),
  )
  const victims = names.filter((name) => running.has(idOf.get(name))).slice(0, 3)
  for (const name of victims) {
    await site.running.get(name)?.kill('SIGKILL')
    kills.set(idOf.get(name) ?? '', Date.now())
  }
  await site.running.get('scanner')?.kill('SIGKILL')
  await site.killCenter('SIGKILL')
  say(`killed the center, the scanner, ${victims.join(', ')}`)
  await site.restartCenter()
  await site.restartScanner()
  for (const [index, name] of victims.entries()) {
    if (index === victims.length - 1)
      await new Promise((resolve) => setTimeout(resolve, (leaseSeconds + 15) * 1000))
    await site.start('agent', name)
  }
}

function report(rounds: Round[], idle: number): void {
  const told = ({ mean, peak }: Shares) => `${mean.toFixed(0)} % | ${peak.toFixed(0)} %`
  const rows = rounds.map(
    (round) =>
      `| ${round.name} | ${round.peakPerHost} | ${round.peak} | ${told(round.cpuOfScans)} | ${told(round.cpu)} | ${round.wallSeconds.toFixed(0)} s | ${round.completed} of ${agents} |`,
  )
  writeSection(
    'storm',
    'Scan storm',
    [],
    `${agents} real agent processes, each with its own identity, on ${hosts} pretended hosts (labels \`host:NAME\`), all told at once to scan ${filesEach} files of its own, half of which are the same on all machines. One scan may use ${cpuLimitPercent} % of one processor (\`cpuLimitPercent\`), so one scan a host makes ${cpuLimitPercent * hosts} % of all. How many ran at once is counted from the events that the agents themselves reported; processor use is told of agents while they were scanned and of all agent processes all the time, idle work included (${idle.toFixed(0)} % before the first round) and what an agent does for some seconds after its scan; its peak is the highest mean of ${cpuWindowMs / 1000} s.

|  | most on one host | most in all | scans, mean | scans, peak | all agents, mean | all agents, peak | wall | completed |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

In the last row the center, the scanner and three agents in the middle of their scans were ended with \`kill -9\`; one of the agents stayed away for longer than the ${leaseSeconds} s of its lease.`,
  )
}

await main()
