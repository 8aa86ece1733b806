/** Eight agents on two pretended hosts: never two scans on one host, whoever is killed in the middle. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSite, type Json, runProgram, type Site, waitFor } from './harness.ts'
import { peaksOf, scanIntervals } from './scan-intervals.ts'

const names = Array.from({ length: 8 }, (_, index) => `agent-${index}`)
const leaseSeconds = 30

let site: Site
let trees: string
const idOf = new Map<string, string>()
const hostOf = new Map<string, string>()

/** Files that nobody has seen, so that each machine's scan takes a moment. */
function growTree(folder: string, round: number): void {
  mkdirSync(folder, { recursive: true })
  for (let index = 0; index < 240; index += 1) {
    const inner = join(folder, String(index % 12))
    mkdirSync(inner, { recursive: true })
    writeFileSync(join(inner, `${index}.txt`), `${folder} ${round} ${index}\n`.repeat(200))
  }
}
const growTrees = (round: number) => {
  for (const name of names) growTree(join(trees, name, 'data'), round)
}
async function call(method: string, path: string, body?: unknown): Promise<Json> {
  const answer = await site.api(method, path, body)
  expect(answer, `${method} ${path}`).toMatchObject({ status: 200 })
  return answer.body as Json
}
async function startScan(given: Json = {}): Promise<string> {
  const { scan } = await call('POST', '/scans', { machineIds: [...idOf.values()], paths: [trees], ...given })
  return (scan as Json).id as string
}
const queueOf = async () => (await site.get<{ queue: Json }>('/scan-queue')).queue
const targetsOf = async (scanId: string) => await site.list(`/scans/${scanId}/targets`)

beforeAll(async () => {
  site = await createSite()
  trees = join(site.root, 'trees')
  growTrees(0)
  await site.startScanner()
  for (let from = 0; from < names.length; from += 4)
    await Promise.all(
      names.slice(from, from + 4).map(async (name) => {
        idOf.set(name, await site.startAgent(name))
      }),
    )
  for (const [index, name] of names.entries()) {
    const id = idOf.get(name) ?? ''
    const host = `host-${index % 2}`
    hostOf.set(id, host)
    await call('PATCH', `/machines/${id}`, { labels: [`host:${host}`] })
  }
  // This machine is busy with other tests: a scan that yields to them would only be slower.
  const { policy } = await call('GET', '/policies/scan-slots')
  await call('PUT', '/policies/scan-slots', {
    ...(policy as Json),
    leaseSeconds,
    backoff: {
      cpuPressurePercent: 100,
      ioPressurePercent: 100,
      memoryPressurePercent: 100,
      stealPercent: 100,
    },
  })
}, 600_000)
afterAll(async () => await site?.close())

it('scans one machine of a host after another, and both hosts at once', async () => {
  const scanId = await startScan()
  const entries = await site.list(`/scan-queue/entries?scanId=${scanId}`)
  expect(entries).toHaveLength(8)
  expect(entries.filter(({ slot }) => (slot as Json).state === 'running')).toHaveLength(2)
  expect(entries.filter(({ slot }) => (slot as Json).reason === 'host_busy')).toHaveLength(6)
  const { stdout } = await runProgram('cli', ['queue'], site.home)
  expect(stdout.trimEnd().split('\n')).toHaveLength(9)
  const ended = await site.endOf(scanId, 400_000)
  expect(ended).toMatchObject({ state: 'completed', machinesEnded: 8 })
  const peaks = peaksOf(await scanIntervals(site, hostOf, [scanId]))
  expect(peaks).toEqual({
    perHost: new Map([
      ['host-0', 1],
      ['host-1', 1],
    ]),
    total: 2,
  })
}, 500_000)

it('stops everything at a pause, keeps the order, and goes on where it was', async () => {
  growTrees(1)
  const scanId = await startScan()
  await waitFor('a machine to be scanned', async () => ((await queueOf()).running === 2 ? true : undefined))
  await call('POST', '/scan-queue/pause', { target: { scope: 'all' } })
  await waitFor('all to stand still', async () => ((await queueOf()).running === 0 ? true : undefined))
  expect(await queueOf()).toMatchObject({ waitingByReason: { paused: (await queueOf()).waiting } })
  await call('POST', '/scan-queue/resume', { target: { scope: 'all' } })
  await call('POST', '/scan-queue/pause', { target: { scope: 'host', hostId: 'label:host-1' } })
  await waitFor(
    'one host to end',
    async () => {
      const open = (await targetsOf(scanId)).filter(({ state }) => state === 'queued' || state === 'running')
      return open.every(({ machineId }) => hostOf.get(String(machineId)) === 'host-1') ? true : undefined
    },
    400_000,
  )
  await call('POST', '/scan-queue/resume', { target: { scope: 'host', hostId: 'label:host-1' } })
  expect(await site.endOf(scanId, 400_000)).toMatchObject({ state: 'completed' })
  const peaks = peaksOf(await scanIntervals(site, hostOf, [scanId]))
  expect([...peaks.perHost.values()]).toEqual([1, 1])
}, 900_000)

it('scans all machines of a host that is named', async () => {
  const { stdout, code } = await runProgram(
    'cli',
    ['scan', trees, '--host', 'host-1', '--wait', '--json'],
    site.home,
  )
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ scan: { state: 'completed', machines: 4, machinesEnded: 4 } })
  expect(await runProgram('cli', ['scan', trees, '--host', 'host-9'], site.home)).toMatchObject({ code: 1 })
}, 500_000)

it('plans a schedule, runs it, and puts the plan beside what happened', async () => {
  const schedule = {
    name: 'nightly',
    group: { kind: 'all' },
    paths: [trees],
    rule: { kind: 'weekly', weekdays: [1, 2, 3, 4, 5, 6, 7] },
    startTime: '22:00',
    timeZone: 'Asia/Shanghai',
    windowMinutes: 480,
    spreadMinutes: 0,
  }
  const { plan } = await call('POST', '/scan-schedules/simulate', schedule)
  expect(plan).toMatchObject({ machines: 8, estimatedMachines: 0, peak: 2, misfits: 0 })
  expect((plan as { hosts: Json[] }).hosts.map(({ machines, peak }) => [machines, peak])).toEqual([
    [4, 1],
    [4, 1],
  ])
  expect(await site.api('POST', '/scan-schedules', { ...schedule, timeZone: 'Asia/Nowhere' })).toMatchObject({
    status: 400,
    body: { code: 'time_zone_unknown' },
  })
  const created = (await call('POST', '/scan-schedules', schedule)).schedule as Json
  expect(String(created.nextRunAt)).toMatch(/T14:00:00/)
  const run = (await call('POST', `/scan-schedules/${created.id}/run`)).run as Json
  await site.endOf(String(run.scanId), 400_000)
  expect(await call('GET', `/scan-runs/${run.scanId}`)).toMatchObject({
    run: { machines: 8, machinesEnded: 8, planned: { peak: 2 }, actual: { peak: 2 } },
    hosts: [
      { machines: 4, machinesEnded: 4 },
      { machines: 4, machinesEnded: 4 },
    ],
  })
}, 500_000)

it('finishes every machine when the center, the scanner and agents are killed in the middle', async () => {
  growTrees(2)
  const scanId = await startScan()
  const kills = new Map<string, number>()
  const runningNames = async () => {
    const running = (await site.list(`/scan-queue/entries?scanId=${scanId}&state=running`)).map(
      (entry) => entry.machineId,
    )
    return names.filter((name) => running.includes(idOf.get(name)))
  }
  const victims = await waitFor('two machines to be scanned', async () => {
    const running = await runningNames()
    return running.length === 2 ? running : undefined
  })
  const [first = '', second = ''] = victims
  for (const name of [first, second]) {
    await site.running.get(name)?.kill('SIGKILL')
    kills.set(idOf.get(name) ?? '', Date.now())
  }
  await site.running.get('scanner')?.kill('SIGKILL')
  await site.killCenter('SIGKILL')
  await site.restartCenter()
  await site.restartScanner()
  await site.start('agent', first)
  // The other one stays away: its slot lapses and its host goes on.
  const host = hostOf.get(idOf.get(second) ?? '')
  await waitFor(
    'its host to go on',
    async () => {
      const running = await runningNames()
      return running.some((name) => name !== second && hostOf.get(idOf.get(name) ?? '') === host)
        ? true
        : undefined
    },
    300_000,
  )
  await site.start('agent', second)
  expect(await site.endOf(scanId, 600_000)).toMatchObject({ state: 'completed', machinesEnded: 8 })
  const peaks = peaksOf(await scanIntervals(site, hostOf, [scanId], kills))
  expect([...peaks.perHost.values()]).toEqual([1, 1])
}, 1_200_000)
