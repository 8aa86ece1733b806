/**
 * Measures the memory of the agent at rest and while it scans a million small files, beside clamd(8), in one run:
 * ./ringwall bench agent-memory. Needs root (a tmpfs, fanotify), the build and 6 GiB of free memory;
 * RINGWALL_BENCH_FILES makes it smaller.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createSite, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { mib, say } from './figures.ts'
import { type MemorySample, sampleMemory } from './memory-samples.ts'
import { writeSection } from './section.ts'
import { writeSignatures } from './signatures.ts'

const root = join(import.meta.dirname, '..')
const files = Number(process.env.RINGWALL_BENCH_FILES ?? 1_000_000)
const filesInFolder = 1_000
/** clamd reads a part of the tree: what it needs does not depend on the number of files. */
const clamdFolders = 50
const restMs = 30_000
const sampleMs = 250
const targets = { idleMib: 60, peakMib: 80 }

const sleep = async (durationMs: number) => await new Promise((resolve) => setTimeout(resolve, durationMs))

type Phase = { name: string; most: MemorySample; last: MemorySample; seconds: number; note: string }

function makeTree(tree: string): void {
  for (let at = 0; at < files; at += 1) {
    const folder = join(tree, String(Math.floor(at / filesInFolder)))
    if (at % filesInFolder === 0) mkdirSync(folder)
    writeFileSync(join(folder, `file-${at}.txt`), `The content of file ${at}: no other file has it.\n`)
  }
}

/** The agent as it is installed: launcher, Node, bundles and helpers in one folder. */
function installAgent(folder: string): string {
  mkdirSync(folder)
  for (const name of readdirSync(join(root, 'dist')))
    if (/^(agent.*\.js|ringwall-(guard|walk|process\.node))$/.test(name))
      copyFileSync(join(root, 'dist', name), join(folder, name))
  symlinkSync(process.execPath, join(folder, 'node'))
  copyFileSync(join(root, 'deploy/ringwall'), join(folder, 'ringwall'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
  return join(folder, 'ringwall')
}

async function startAgent(
  site: Site,
  launcher: string,
  watched: string,
): Promise<{ child: ChildProcess; id: string }> {
  const env = { ...process.env, RINGWALL_HOME: site.homeOf('agent'), RINGWALL_AGENT_WATCH: watched }
  execFileSync('sh', [launcher, 'agent', ...site.enrolArgs(await site.token('agent'))], { env })
  const child = spawn('sh', [launcher, 'agent', 'run'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error('no output')
  const lines = createInterface({ input: child.stdout })
  const id = await new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => line.startsWith('{') && resolve(String((JSON.parse(line) as Json).id)))
    child.on('exit', (code) => reject(new Error(`the agent ended with ${code}`)))
  })
  await waitFor('the agent', async () =>
    (await site.get<{ machine: Json }>(`/machines/${id}`)).machine.linkState === 'online' ? true : undefined,
  )
  return { child, id }
}

/** Watches one process while something happens. */
async function during(name: string, pid: number, work: () => Promise<string>): Promise<Phase> {
  const samples: MemorySample[] = [sampleMemory(pid)]
  const timer = setInterval(() => samples.push(sampleMemory(pid)), sampleMs)
  const startedAtMs = performance.now()
  try {
    const note = await work()
    samples.push(sampleMemory(pid))
    const most = samples.reduce((a, b) => (b.rssBytes > a.rssBytes ? b : a))
    const seconds = (performance.now() - startedAtMs) / 1000
    const phase = { name, most, last: samples.at(-1) ?? most, seconds, note }
    say(
      `${name}: ${seconds.toFixed(0)} s, most ${mib(most.rssBytes)} MiB (anonymous ${mib(most.anonymousBytes)}), at the end ${mib(phase.last.rssBytes)} MiB; ${note}`,
    )
    return phase
  } finally {
    clearInterval(timer)
  }
}

async function scan(site: Site, machineId: string, tree: string): Promise<string> {
  const scanId = await site.startScan(machineId, [tree])
  const target = await waitFor(
    'the scan',
    async () => {
      const found = (await site.list(`/scans/${scanId}/targets`))[0]
      return found === undefined || found.endedAt === null ? undefined : found
    },
    7_200_000,
  )
  const progress = target.progress as { filesSeen: number; filesFromManifest: number }
  if (target.state !== 'completed' || progress.filesSeen < files)
    throw new Error(`the scan ${String(target.state)}: ${JSON.stringify(progress)}`)
  const scanMs = Date.parse(String(target.endedAt)) - Date.parse(String(target.startedAt))
  return `${(scanMs / 1000).toFixed(1)} s, ${progress.filesFromManifest} files by manifest`
}

/** What the agent says of its protection: the figures are of an agent that protects. */
async function protectionOf(site: Site, machineId: string): Promise<string> {
  type Agent = { realtime: { mode: string; problem: string | null; journal: { isComplete: boolean } } | null }
  const { machine } = await site.get<{ machine: { agent: Agent | null } }>(`/machines/${machineId}`)
  const realtime = machine.agent?.realtime
  if (realtime == null) return 'no real-time protection'
  const { mode, problem, journal } = realtime
  return `real-time protection ${mode}${problem === null ? '' : `: ${problem}`}, journal ${journal.isComplete ? 'complete' : 'incomplete'}`
}

/** clamd at rest and while it looks at a part of the same tree. */
async function measureClamd(work: string, tree: string): Promise<{ rules: number; phases: Phase[] }> {
  const [signatures, socket, config] = ['signatures', 'clamd.sock', 'clamd.conf'].map((name) =>
    join(work, name),
  ) as [string, string, string]
  const rules = writeSignatures(signatures)
  writeFileSync(
    config,
    `LocalSocket ${socket}\nDatabaseDirectory ${signatures}\nUser root\nForeground yes\nLogFile ${join(work, 'clamd.log')}\n`,
  )
  const clamd = spawn('clamd', ['-c', config], { stdio: 'ignore' })
  try {
    await waitFor('clamd', () => Promise.resolve(existsSync(socket) ? true : undefined))
    const pid = clamd.pid ?? 0
    const idle = await during('clamd at rest', pid, async () => {
      await sleep(5_000)
      return ''
    })
    const folders = readdirSync(tree)
      .slice(0, clamdFolders)
      .map((name) => join(tree, name))
    const busy = await during('clamd, clamdscan --multiscan', pid, async () => {
      const child = spawn(
        'clamdscan',
        ['-c', config, '--multiscan', '--fdpass', '--no-summary', '--infected', ...folders],
        { stdio: 'ignore' },
      )
      const code = await new Promise((resolve) => child.on('close', resolve))
      if (code !== 0) throw new Error(`clamdscan ended with ${code}`)
      return `${folders.length * filesInFolder} files`
    })
    return { rules, phases: [idle, busy] }
  } finally {
    clamd.kill()
  }
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'ringwall-memory-'))
  const tree = join(work, 'tree')
  mkdirSync(tree)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `nr_inodes=${files * 2 + 10_000},size=8g`, 'tmpfs', tree])
  const site = await createSite()
  let agent: ChildProcess | undefined
  try {
    say(`making ${files} files`)
    makeTree(tree)
    await site.startScanner()
    const { child, id } = await startAgent(site, installAgent(join(work, 'agent')), tree)
    agent = child
    const pid = child.pid ?? 0
    const rest = async () => {
      await sleep(restMs)
      return await protectionOf(site, id)
    }
    const phases = [
      await during('at rest, after the start', pid, rest),
      await during('first scan, nothing known', pid, async () => await scan(site, id, tree)),
      await during('at rest, after the first scan', pid, rest),
      await during('second scan, all by the manifest', pid, async () => await scan(site, id, tree)),
      await during('at rest, after both', pid, rest),
    ]
    const { rules, phases: ofClamd } = await measureClamd(work, tree)
    report(phases, ofClamd, rules)
  } finally {
    agent?.kill('SIGTERM')
    await sleep(1_000)
    agent?.kill('SIGKILL')
    await site.close()
    spawnSync('umount', ['-l', tree])
    rmSync(work, { recursive: true, force: true })
  }
}

const helpersOf = ({ helpers }: MemorySample) =>
  helpers.map(({ name, rssBytes }) => `${name} ${mib(rssBytes)}`).join(', ') || '-'

function report(phases: Phase[], ofClamd: Phase[], rules: number): void {
  const row = ({ name, most, last, seconds, note }: Phase) =>
    `| ${name} | ${seconds.toFixed(0)} | ${mib(most.rssBytes)} | ${mib(most.anonymousBytes)} | ${mib(last.rssBytes)} | ${mib(last.anonymousBytes)} | ${helpersOf(most)} | ${note} |`
  const idle = phases.filter(({ name }) => name.startsWith('at rest')).map(({ last }) => last.rssBytes)
  const busy = phases.filter(({ name }) => name.includes('scan,')).map(({ most }) => most.rssBytes)
  const judge = (name: string, bytes: number[], targetMib: number) =>
    `- ${name}: ${mib(Math.max(...bytes))} MiB, target ≤ ${targetMib}: ${Math.max(...bytes) <= targetMib * 1024 ** 2 ? 'met' : 'missed'}.`
  const lines = [
    `${files} files of some bytes, each with a content of its own, in folders of ${filesInFolder} on tmpfs; the agent as it is installed, with real-time protection and the journal on for this tree; \`smaps_rollup\` every ${sampleMs} ms. MiB. Helpers are processes of their own and are not in the agent's figures. clamd has ${rules} signatures, as many as the scanner has rules, and reads ${clamdFolders * filesInFolder} of the files at most; the agent keeps no signatures, its scanner does.`,
    '',
    '| phase | s | most RSS | of it anonymous | RSS at the end | of it anonymous | helpers | |',
    '| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |',
    ...[...phases, ...ofClamd].map(row),
    '',
    judge('Idle, at the end of each rest', idle, targets.idleMib),
    judge('Peak of the scans', busy, targets.peakMib),
    '- The part that is not anonymous is code, mapped from the page cache: other processes share it, and the kernel can take it back at any time.',
    `- Load of the machine at the end: ${loadavg()
      .map((load) => load.toFixed(1))
      .join(', ')}.`,
  ]
  const clamav = execFileSync('clamd', ['--version']).toString().trim()
  writeSection('agent-memory', 'Memory of the agent', [clamav], lines.join('\n'))
  say('wrote bench/results/agent-memory.md')
}

await main()
