/**
 * Measures what the first scan of clones costs, beside find(1) and clamdscan(1), in one run: ./ringwall bench clone-scan.
 * Needs root, overlayfs, the build, and the packages of the scope `bench` in scripts/system-packages.txt.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createSite, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { median, mib, say, seconds } from './figures.ts'
import { writeSection } from './section.ts'
import { writeSignatures } from './signatures.ts'
import { cacheDir, templateRoot } from './template-root.ts'

const root = join(import.meta.dirname, '..')
const clones = Number(process.env.RINGWALL_BENCH_CLONES ?? 20)
const changedFiles = 300
/** Changed between the first scan of a clone and the next one, which goes by the journal. */
const journalFiles = 100
const clamdClones = 3

type Progress = {
  filesSeen: number
  filesFromManifest: number
  filesRehashed: number
  bytesRead: number
  bytesSent: number
  mode: string
  modeReason: string | null
}
type Run = { wallMs: number; scanMs: number; cpuMs: number; progress: Progress }
type CloneRun = Run & { way: string; findMs: number; politeFindMs: number; rescan: Run }
type Machine = { id: string; child: ChildProcess; mount: string; name: string }

/** A copy-on-write copy of the template, as a linked clone is: mounted anew for each measurement, so nothing is warm. */
function mountClone(work: string, name: string): string {
  const folders = ['upper', 'work', 'root'].map((part) => join(work, name, part))
  for (const folder of folders) mkdirSync(folder, { recursive: true })
  const [upper, scratch, target] = folders as [string, string, string]
  const options = `lowerdir=${join(cacheDir, 'root')},upperdir=${upper},workdir=${scratch}`
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, target])
  return target
}

const unmount = (target: string) => spawnSync('umount', ['-l', target])

function remount(machine: { mount: string; name: string }, work: string): void {
  execFileSync('umount', [machine.mount])
  mountClone(work, machine.name)
}

/** The agent as it is installed: its launcher, its own Node, its bundles and its helpers. */
function installAgent(target: string): void {
  const folder = join(target, 'opt/ringwall-agent')
  mkdirSync(folder, { recursive: true })
  const parts = [
    'agent.js',
    'agent-scan-worker.js',
    'ringwall-walk',
    'ringwall-guard',
    'ringwall-process.node',
  ]
  for (const name of parts) cpSync(join(root, 'dist', name), join(folder, name))
  cpSync(join(root, 'deploy/ringwall'), join(folder, 'ringwall'))
  cpSync(process.execPath, join(folder, 'node'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
  // The center of the benchmark is on this machine.
  writeFileSync(join(target, 'etc/hosts'), '127.0.0.1 localhost\n')
}

/** What a new machine does in its first hours: logs, settings, data of its own. */
function change(target: string): void {
  const files = execFileSync('sh', [
    '-c',
    `find ${target}/etc ${target}/usr/share -xdev -type f | shuf -n ${changedFiles / 2}`,
  ])
    .toString()
    .trim()
    .split('\n')
  for (const path of files) appendFileSync(path, `\n# ${randomBytes(8).toString('hex')}\n`)
  const data = join(target, 'srv/data')
  mkdirSync(data, { recursive: true })
  for (let index = 0; index < changedFiles / 2; index += 1)
    writeFileSync(join(data, `${index}`), randomBytes(4096))
}

/** A little work: some files are written anew, some appear, some go. */
function changeLittle(target: string): void {
  const data = join(target, 'srv/data')
  for (let index = 0; index < journalFiles; index += 1) {
    const path = join(data, index < journalFiles / 2 ? `${index}` : `new-${index}`)
    writeFileSync(path, randomBytes(4096))
  }
  for (let index = 0; index < journalFiles / 10; index += 1) rmSync(join(data, `${100 + index}`))
}

/** Runs a program of the agent inside the clone, in a mount namespace of its own. */
function agentIn(target: string, args: string[], id = ''): ChildProcess {
  const script = `mount --make-rprivate / && mount -t proc proc ${target}/proc && exec chroot ${target} /bin/sh /opt/ringwall-agent/ringwall agent ${args.map((arg) => `'${arg}'`).join(' ')}`
  return spawn('unshare', ['-m', 'sh', '-c', script], {
    env: {
      PATH: process.env.PATH,
      RINGWALL_HOME: '/var/lib/ringwall',
      RINGWALL_INSTANCE_ID: id,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function output(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.on('data', (chunk) => (text += String(chunk)))
  const code = await new Promise((resolve) => child.on('close', resolve))
  if (code !== 0) throw new Error(`the agent ended with ${code}`)
  return text
}

async function startMachine(mount: string, name: string): Promise<Machine> {
  const child = agentIn(mount, ['run'], name)
  if (child.stdout === null) throw new Error('no output')
  const lines = createInterface({ input: child.stdout })
  const id = await new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => line.startsWith('{') && resolve(String((JSON.parse(line) as Json).id)))
    child.on('exit', (code) => reject(new Error(`agent ${name} ended with ${code}`)))
  })
  return { id, child, mount, name }
}

async function stop({ child }: Machine): Promise<void> {
  const ended = new Promise((resolve) => child.on('close', resolve))
  child.kill('SIGTERM')
  await ended
}

/** CPU time of a process and the children that it waited for; proc(5) stat, in ticks of 10 ms. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]) * 10, 0)
}

const targetOf = async (site: Site, scanId: string) => (await site.list(`/scans/${scanId}/targets`))[0] ?? {}

/** A scan of the whole machine, from the order to its end; the scan itself by the agent's clock. */
async function fullScan(site: Site, machine: Machine): Promise<Run> {
  const pid = machine.child.pid ?? 0
  const cpuBefore = cpuOf(pid)
  const startedAtMs = performance.now()
  const scanId = await site.startScan(machine.id, [])
  const target = await waitFor(
    'the scan to end',
    async () => {
      const found = await targetOf(site, scanId)
      return found.endedAt === null ? undefined : found
    },
    3_600_000,
  )
  const wallMs = performance.now() - startedAtMs
  if (target.state !== 'completed')
    throw new Error(`the scan ${String(target.state)}: ${String(target.errorCode)}`)
  const scanMs = Date.parse(String(target.endedAt)) - Date.parse(String(target.startedAt))
  return { wallMs, scanMs, cpuMs: cpuOf(pid) - cpuBefore, progress: target.progress as Progress }
}

/** `asScan`: with the priority of a scan, which stands behind everything else on the machine. */
function findWithStat(mount: string, asScan: boolean): number {
  const startedAtMs = performance.now()
  const find = ['find', mount, '-xdev', '-type', 'f', '-printf', '%i %C@ %T@ %s %m %p\\n']
  const [file = '', ...args] = asScan ? ['nice', '-n', '19', 'ionice', '-c', '3', ...find] : find
  const { status } = spawnSync(file, args, { stdio: 'ignore' })
  if (status !== 0) throw new Error('find failed')
  return performance.now() - startedAtMs
}

async function main(): Promise<void> {
  const template = templateRoot(say)
  const work = mkdtempSync(join(cacheDir, 'run-'))
  const site = await createSite()
  const mounts: string[] = []
  const machines: Machine[] = []
  let clamd: ChildProcess | undefined
  const mount = (name: string) => {
    const target = mountClone(work, name)
    mounts.push(target)
    return target
  }
  try {
    await site.startScanner({ RINGWALL_SCANNER_WORKERS: String(cpus().length) })
    installAgent(template)
    execFileSync('sync')
    const files = Number(execFileSync('sh', ['-c', `find ${template} -xdev -type f | wc -l`]).toString())
    const bytes = Number(
      execFileSync('sh', [
        '-c',
        `find ${template} -xdev -type f -printf '%s\\n' | awk '{s+=$1} END {print s}'`,
      ]).toString(),
    )
    say(`${files} files, ${mib(bytes)} MiB; everybody reads from the page cache`)
    execFileSync('sh', ['-c', `find ${template} -xdev -type f -print0 | xargs -0 cat > /dev/null`])

    const enrol = async (target: string) =>
      await output(agentIn(target, site.enrolArgs(await site.token('agent'))))
    const parentMount = mount('template')
    await enrol(parentMount)
    const parent = await startMachine(parentMount, 'template')
    machines.push(parent)
    await waitFor('the template', async () =>
      (await site.get<{ machine: Json }>(`/machines/${parent.id}`)).machine.linkState === 'online'
        ? true
        : undefined,
    )
    say('first scan of the template')
    const first = await fullScan(site, parent)
    say(`${seconds(first.scanMs)} s, ${seconds(first.cpuMs)} s of CPU`)
    say('second scan of the template')
    // What was made a moment ago is looked at twice; by now it is at rest.
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    await fullScan(site, parent)
    const second = await fullScan(site, parent)
    await stop(parent)
    machines.pop()

    const runs: CloneRun[] = []
    for (let index = 0; index < clones; index += 1) {
      const carriesState = index % 2 === 0
      const name = `clone-${index}`
      const target = mount(name)
      if (carriesState)
        cpSync(join(parentMount, 'var/lib/ringwall'), join(target, 'var/lib/ringwall'), { recursive: true })
      else await enrolAs(site, target, parent.id)
      change(target)
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      remount({ mount: target, name }, work)
      const findMs = findWithStat(target, false)
      remount({ mount: target, name }, work)
      const politeFindMs = findWithStat(target, true)
      remount({ mount: target, name }, work)
      const machine = await startMachine(target, name)
      machines.push(machine)
      // With the template's state it learns here that it is a copy.
      const id = await waitFor('the clone', async () => {
        const online = (await site.list('/machines?linkState=online')).filter(({ id }) => id !== parent.id)
        return online.length === 1 ? String(online[0]?.id) : undefined
      })
      const run = await fullScan(site, { ...machine, id })
      const way = carriesState ? 'came with it' : 'from the scanner'
      changeLittle(target)
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      const rescan = await fullScan(site, { ...machine, id })
      runs.push({ ...run, way, findMs, politeFindMs, rescan })
      say(
        `${name}: find ${seconds(findMs)} s, scan ${seconds(run.scanMs)} s, ${JSON.stringify(run.progress)}; rescan ${seconds(rescan.scanMs)} s, ${JSON.stringify(rescan.progress)}`,
      )
      await stop(machine)
      machines.pop()
    }

    say('clamdscan')
    const signatures = join(work, 'signatures')
    const rules = writeSignatures(signatures)
    const socket = join(work, 'clamd.sock')
    const config = join(work, 'clamd.conf')
    writeFileSync(
      config,
      `LocalSocket ${socket}\nDatabaseDirectory ${signatures}\nUser root\nForeground yes\nMaxThreads ${cpus().length}\nLogFile ${join(work, 'clamd.log')}\nExcludePath /root/dev/\n`,
    )
    clamd = spawn('clamd', ['-c', config], { stdio: 'ignore' })
    await waitFor('clamd', () => Promise.resolve(existsSync(socket) ? true : undefined))
    const clam: number[] = []
    for (let index = 0; index < Math.min(clamdClones, clones); index += 1) {
      const name = `clone-${index}`
      const target = join(work, name, 'root')
      remount({ mount: target, name }, work)
      const startedAtMs = performance.now()
      const { status, stderr } = spawnSync(
        'clamdscan',
        ['-c', config, '--multiscan', '--fdpass', '--no-summary', '--infected', target],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      )
      if (status !== 0 && status !== 1) throw new Error(`clamdscan: ${String(stderr).slice(0, 300)}`)
      clam.push(performance.now() - startedAtMs)
      say(`clamdscan ${seconds(clam.at(-1) ?? 0)} s`)
    }
    report({ files, bytes, rules, first, second, runs, clam })
  } finally {
    clamd?.kill()
    for (const machine of machines) machine.child.kill('SIGKILL')
    await site.close()
    for (const target of mounts) unmount(target)
    rmSync(work, { recursive: true, force: true })
    rmSync(join(template, 'opt/ringwall-agent'), { recursive: true, force: true })
  }
}

/** Enrols a clone without the template's state; a golden image knows which template it is from. */
async function enrolAs(site: Site, target: string, templateId: string): Promise<void> {
  const dir = join(target, 'var/lib/ringwall/agent')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  writeFileSync(
    join(dir, 'template.json'),
    JSON.stringify({ templateId, sealedAt: new Date().toISOString(), enrol: null }),
  )
  await output(agentIn(target, site.enrolArgs(await site.token('agent'))))
}

function report(all: {
  files: number
  bytes: number
  rules: number
  first: Run
  second: Run
  runs: CloneRun[]
  clam: number[]
}): void {
  const { files, bytes, rules, first, second, runs, clam } = all
  const findMs = median(runs.map((run) => run.findMs))
  const politeFindMs = median(runs.map((run) => run.politeFindMs))
  const clamMs = median(clam)
  const row = (name: string, { wallMs, scanMs, cpuMs, progress }: Run) =>
    `| ${name} | ${seconds(wallMs)} | ${seconds(scanMs)} | ${(scanMs / findMs).toFixed(2)} | ${seconds(cpuMs)} | ${mib(progress.bytesRead)} | ${mib(progress.bytesSent)} | ${progress.filesFromManifest} |`
  const middle = (of: Run[]): Run => {
    const pick = (value: (run: Run) => number) => median(of.map(value))
    return {
      wallMs: pick((run) => run.wallMs),
      scanMs: pick((run) => run.scanMs),
      cpuMs: pick((run) => run.cpuMs),
      progress: {
        filesSeen: pick((run) => run.progress.filesSeen),
        filesFromManifest: pick((run) => run.progress.filesFromManifest),
        filesRehashed: pick((run) => run.progress.filesRehashed),
        bytesRead: pick((run) => run.progress.bytesRead),
        bytesSent: pick((run) => run.progress.bytesSent),
        mode: '',
        modeReason: null,
      },
    }
  }
  const rescans = runs.map(({ rescan }) => rescan)
  const byJournal = rescans.filter(({ progress }) => progress.mode === 'journal')
  const ways = [...new Set(runs.map(({ way }) => way))]
  const worst = Math.max(...runs.map((run) => run.scanMs / run.findMs))
  const all20 = median(runs.map((run) => run.scanMs))
  const share = (100 * median(runs.map((run) => run.progress.bytesRead))) / first.progress.bytesRead
  const lines = [
    `The template is a Debian with packages, ${files} files, ${mib(bytes)} MiB, in the page cache. ${runs.length} overlay clones with ${changedFiles} changed files each, mounted anew before each measurement, each scanned as a whole machine by its own agent, chrooted into it in its own mount namespace; ${rules} rules here, ${rules} signatures there. Medians over the clones. "order to end" has the way over the center in it, "scan" is what the agent's clock says.\n`,
    '| scan | order to end s | scan s | against find | CPU s | read MiB | sent MiB | files by manifest |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    row('template, first', first),
    row('template, second', second),
    ...ways.map((way) => row(`clone, first, manifest ${way}`, middle(runs.filter((run) => run.way === way)))),
    row(`clone, again, ${journalFiles} files changed`, middle(rescans)),
    `| find -printf (stat of every file) on the clones | | ${seconds(findMs)} | 1.00 | | | | |`,
    `| the same with the priority of a scan (nice 19, idle I/O) | | ${seconds(politeFindMs)} | ${(politeFindMs / findMs).toFixed(2)} | | | | |`,
    `| clamdscan --multiscan --fdpass on ${clam.length} clones | | ${seconds(clamMs)} | ${(clamMs / findMs).toFixed(2)} | | | | |`,
    '',
    `- Against find: median ${(all20 / findMs).toFixed(2)}, worst clone ${worst.toFixed(2)} (target ≤ 2); against find with the priority of a scan: ${(all20 / politeFindMs).toFixed(2)}. Load of the machine during the run: ${loadavg()
      .map((load) => load.toFixed(1))
      .join(', ')} on ${cpus().length} processors.`,
    `- Against clamdscan: ${(clamMs / all20).toFixed(0)} times as fast (target ≥ 50).`,
    `- Again after ${journalFiles} changed files: median ${seconds(median(rescans.map(({ scanMs }) => scanMs)))} s, at most ${seconds(Math.max(...rescans.map(({ scanMs }) => scanMs)))} s (target < 1 s); ${byJournal.length} of ${rescans.length} went by the journal. An overlay cannot be watched here, so its journal names the whole root: they walked all the same.`,
    `- Bytes read: ${share.toFixed(2)} % of the first scan (target ≤ 2 %).`,
    '',
  ]
  const clamav = execFileSync('clamdscan', ['--version']).toString().trim()
  writeSection('clone-scan', 'First scan of a clone', [clamav], lines.join('\n'))
  say('wrote bench/results/clone-scan.md')
}

await main()
