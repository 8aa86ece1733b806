import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { eicar, type Json, waitFor } from '../e2e/harness.ts'
import { cgroup, createGuestSite, type GuestSite, say } from './agent-service.ts'

const programs = ['qemu-system-x86_64', 'debootstrap', 'mke2fs', 'ssh', 'ssh-keygen']
const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
const missing = programs.filter((name) => !folders.some((folder) => existsSync(join(folder, name))))
if (process.getuid?.() !== 0) missing.push('root')
if (missing.length > 0) say(`skipped, this machine lacks ${missing.join(', ')}`)

const writeEicar = (path: string) =>
  `printf %s ${eicar.toString('base64')} | base64 -d >${path} && chmod 755 ${path}`
const mebibyte = 1024 * 1024

describe.skipIf(missing.length > 0)('the agent in a guest with systemd and cgroup v2', () => {
  let there: GuestSite
  let machineId: unknown
  beforeAll(async () => {
    there = await createGuestSite()
    const { policy } = await there.site.get<{ policy: Json }>('/policies/malware')
    // Emulated, everything takes long.
    const realtime = { ...(policy.realtime as Json), budgetMs: 30_000 }
    const { status } = await there.site.api('PUT', '/policies/malware', { ...policy, realtime })
    expect(status).toBe(200)
  })
  afterAll(async () => await there?.close())

  /** How long the guest needs to start a program that it knows. */
  const execMs = async () => {
    const script =
      '/bin/true; a=$(date +%s%N); for i in 1 2 3 4 5; do /bin/true; done; echo $((($(date +%s%N) - a) / 5000000))'
    return Number(await there.guest.run(script))
  }
  const findingAt = async (path: string) =>
    await waitFor(
      `the finding ${path}`,
      async () =>
        (await there.site.list('/findings')).find(
          (finding) => finding.path === path && finding.state === 'quarantined',
        ),
      120_000,
    )

  it('is installed over SSH and comes online as the machine that it is', async () => {
    const startedAtMs = Date.now()
    expect(await there.push()).toMatchObject({ state: 'done', error: null, isHostKeyNew: true })
    say(`installed over SSH and online after ${Math.round((Date.now() - startedAtMs) / 1000)} s`)
    const machine = await there.machineWhen(
      'figures',
      ({ agent }) => agent?.caps != null && agent.realtime?.mode === 'exec',
    )
    machineId = machine.id
    expect(machine).toMatchObject({ hostname: 'guest', linkState: 'online', problems: [] })
    expect(machine.facts).toMatchObject({
      os: { id: 'debian', version: '12', kernel: await there.guest.run('uname -r') },
      dmi: { uuid: there.uuid },
      pool: 'virtual',
      hypervisor: 'kvm',
    })
  })

  it('is held to the limits of its unit, and tells them', async () => {
    const names = ['cpu.max', 'cpu.weight', 'io.weight', 'memory.high', 'memory.max', 'pids.max']
    const held = await there.guest.run(
      `cd ${cgroup}; for name in ${names.join(' ')}; do echo $name $(cat $name); done`,
    )
    expect(held.split('\n')).toEqual([
      'cpu.max 200000 100000',
      'cpu.weight 20',
      'io.weight default 20',
      `memory.high ${256 * mebibyte}`,
      `memory.max ${512 * mebibyte}`,
      'pids.max 64',
    ])
    const { agent } = await there.machine()
    expect(agent.caps).toMatchObject({
      cgroup: cgroup.replace('/sys/fs/cgroup', ''),
      cpuLimitPercent: 200,
      cpuWeight: 20,
      ioWeight: 20,
      memoryHighBytes: 256 * mebibyte,
      memoryMaxBytes: 512 * mebibyte,
      tasksMax: 64,
    })
    expect(agent.modules.map(({ module }) => module).sort()).toEqual(['core', 'link', 'realtime'])
    say(`idle: ${JSON.stringify(agent.caps)} ${JSON.stringify(agent.modules)}`)
  })

  it('denies what is bad before it runs, and takes it away', async () => {
    await there.guest.run(writeEicar('/srv/eicar'))
    const { code, stderr } = await there.guest.attempt('/srv/eicar')
    expect(code).toBe(126)
    expect(stderr).toContain('not permitted')
    expect(await findingAt('/srv/eicar')).toMatchObject({ sizeBytes: eicar.length })
    expect((await there.guest.attempt('test -e /srv/eicar')).code).toBe(1)
  })

  it('leaves no hanging machine when it is killed while it guards, and is back by itself', async () => {
    const scripts = [
      'for i in $(seq 20); do cp /bin/true /srv/new-$i; /srv/new-$i || echo failed; done & ',
      'kill -9 $(systemctl show -P MainPID ringwall-agent); wait; /bin/true; rm /srv/new-*; echo alive',
    ]
    const machine = await there.restarted(async () => {
      expect(await there.guest.run(scripts.join(''))).toBe('alive')
    })
    expect(machine.id).toBe(machineId)
    expect(Number(await there.guest.run('systemctl show -P NRestarts ringwall-agent'))).toBeGreaterThan(0)
  })

  it('is started again when its memory limit ends it, and tells that afterwards', async () => {
    await there.withUnit('MemoryHigh=infinity', 'MemoryMax=24M')
    await waitFor(
      'an end',
      async () =>
        (await there.guest.attempt('test -s /run/ringwall-agent/memory-kills')).code === 0 ? true : undefined,
      300_000,
    )
    say(`MemoryMax=24M: a program starts in ${await execMs()} ms`)
    await there.withUnit()
    const { agent } = await there.machineWhen(
      'cap_memory',
      ({ problems, agent: now }) =>
        problems.includes('cap_memory') && now.caps?.memoryMaxBytes === 512 * mebibyte,
    )
    expect(agent.caps?.memoryKills).toBeGreaterThan(0)
    say(`after MemoryMax=24M: ${JSON.stringify(agent.caps)}`)
  })

  it('tells that it cannot guard without the capability, and guards again with it', async () => {
    await there.withUnit('CapabilityBoundingSet=~CAP_SYS_ADMIN')
    const { agent, protection } = await there.machineWhen('realtime_unavailable', ({ problems }) =>
      problems.includes('realtime_unavailable'),
    )
    expect(protection).toBe('degraded')
    say(`without CAP_SYS_ADMIN: ${String(agent.realtime?.problem)}`)
    expect(agent.realtime?.problem).toContain('EPERM')
    await there.restarted(async () => await there.withUnit())
    await there.machineWhen(
      'the guard',
      ({ problems, agent: now }) =>
        !problems.includes('realtime_unavailable') && now.realtime?.mode === 'exec',
    )
  })

  it('tells that its limit of tasks bites', async () => {
    const tasks = Number(await there.guest.run(`cat ${cgroup}/pids.current`))
    await there.withUnit(`TasksMax=${tasks - 1}`)
    const { agent } = await there.machineWhen('cap_tasks', ({ problems }) => problems.includes('cap_tasks'))
    expect(agent.caps).toMatchObject({ tasksMax: tasks - 1 })
    say(`TasksMax=${tasks - 1}: ${JSON.stringify(agent.caps)}; a program starts in ${await execMs()} ms`)
    await there.restarted(async () => await there.withUnit())
  })

  it('is the same machine after a restart of the service and of the guest', async () => {
    const restarted = await there.restarted(
      async () => await there.guest.run('systemctl restart ringwall-agent'),
    )
    expect(restarted.id).toBe(machineId)
    const rebooted = await there.restarted(there.guest.reboot)
    expect(rebooted.facts.bootedAt > restarted.facts.bootedAt).toBe(true)
    expect(await there.site.list('/machines')).toHaveLength(1)
    await there.machineWhen('the guard', ({ agent }) => agent.realtime?.mode === 'exec')
  })

  it('tells that its processor limit bites', async () => {
    await there.withUnit('CPUQuota=10%')
    const { agent } = await there.machineWhen(
      'cap_cpu',
      ({ problems, agent: now }) => problems.includes('cap_cpu') && now.caps?.cpuLimitPercent === 10,
    )
    expect(agent.caps?.cpuThrottledPeriods).toBeGreaterThan(0)
    // A login may take long: each of its programs is judged first, with a tenth of an emulated processor.
    await vi.waitFor(
      async () =>
        expect((await there.guest.attempt('ps -C ringwall-guard -o cls=')).stdout).toMatch(/^\s*RR$/m),
      { timeout: 300_000, interval: 1_000 },
    )
    say(`CPUQuota=10%: ${JSON.stringify(agent.caps)}; a program starts in ${await execMs()} ms`)
  })

  it('tells that its memory limit slows it', async () => {
    await there.withUnit('MemoryHigh=26M')
    const { agent } = await there.machineWhen(
      'cap_memory',
      ({ problems, agent: now }) =>
        problems.includes('cap_memory') && now.caps?.memoryHighBytes === 26 * mebibyte,
    )
    expect(agent.caps?.memoryHighEvents).toBeGreaterThan(0)
    say(`MemoryHigh=26M: ${JSON.stringify(agent.caps)}; a program starts in ${await execMs()} ms`)
  })

  it('scans the whole guest, kernel modules too, and afterwards what changed', async () => {
    await there.restarted(async () => await there.withUnit())
    await there.guest.run(`mkdir -p /usr/lib/modules/test /srv/tree; ${writeEicar('/usr/lib/modules/test/eicar')}
      for i in $(seq 200); do echo $i >/srv/tree/$i; done`)
    const first = await there.scan()
    say(`whole scan: ${Math.round(first.durationMs / 1000)} s ${JSON.stringify(first.progress)}`)
    expect(first.scan).toMatchObject({ state: 'completed' })
    await findingAt('/usr/lib/modules/test/eicar')
    await there.guest.run('for i in $(seq 100); do echo changed >>/srv/tree/$i; done')
    const second = await there.scan()
    say(`by journal: ${second.durationMs} ms ${JSON.stringify(second.progress)}`)
    expect(second.progress).toMatchObject({ mode: 'journal' })
    const lookedAt = Number(second.progress.filesSeen) - Number(second.progress.filesFromManifest)
    expect(lookedAt).toBeGreaterThanOrEqual(100)
    expect(lookedAt).toBeLessThan(Number(first.progress.filesSeen) / 20)
  })
})
