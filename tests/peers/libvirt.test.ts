/** The libvirt connector against two real libvirtd daemons and one real live migration of a QEMU guest. Needs root; the daemons run as `daemon`. */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAppError, type PlatformCredentials } from '@ringwall/contracts'
import { type Change, type Connector, connectors, type MachineRecord } from '@ringwall/platforms'
import { silentLogger, systemClock } from '@ringwall/runtime'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createSite, type Daemon, type Sshd, startDaemon, startSshd } from './libvirt-daemons.ts'
import { missingPrograms } from './programs.ts'

const missing = missingPrograms(
  'libvirtd',
  'virsh',
  'qemu-system-x86_64',
  'qemu-img',
  'sshd',
  'ssh-keygen',
  'setpriv',
)
if (missing.length > 0) console.log(`libvirt peers: skipped, as this machine lacks ${missing.join(', ')}`)

const uuid = '6f1c2d5e-1111-4222-8333-444455556666'
const mac = '52:54:00:aa:bb:01'
const never = new AbortController().signal

const domainXml = (name: string, id: string, devices: string) => `
<domain type='qemu'>
  <name>${name}</name><uuid>${id}</uuid>
  <memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <cpu mode='custom' match='minimum' check='none'><model>qemu64</model></cpu>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>${devices}</devices>
</domain>`
const diskXml = (path: string) =>
  `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${path}'/><target dev='vda' bus='virtio'/></disk>`

/** Runs a program to its end while events go on to be heard. */
async function run(command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, { env: { ...process.env, LC_ALL: 'C' } })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${output}`)
}

describe.skipIf(missing.length > 0)('libvirt', () => {
  const opened: Connector[] = []
  let site: ReturnType<typeof createSite>
  let a: Daemon
  let b: Daemon

  beforeAll(async () => {
    site = createSite()
    a = await startDaemon(site.folder, 'kvm-a')
    b = await startDaemon(site.folder, 'kvm-b')
  })
  afterEach(async () => {
    for (const connector of opened.splice(0)) await connector.close()
  })
  afterAll(async () => {
    await a?.stop()
    await b?.stop()
    site?.remove()
  })

  function open(
    address: string,
    credentials: PlatformCredentials = { kind: 'none' },
    fingerprint?: string,
  ): Connector {
    const connector = connectors.libvirt?.open({
      address,
      fingerprint,
      credentials,
      requestsPerSecond: 100,
      clock: systemClock,
      logger: silentLogger,
      recorder: undefined,
    })
    if (connector === undefined) throw new Error('no libvirt connector')
    opened.push(connector)
    return connector
  }
  const both = () => `unix://${a.socketPath},\nunix://${b.socketPath}`

  /** Collects what a watch yields until `stop`, which gives the error that ended it. */
  function watching(connector: Connector) {
    const controller = new AbortController()
    const batches: { changes: Change[]; heardAtMs: number }[] = []
    const end = (async () => {
      for await (const changes of connector.watch(controller.signal))
        batches.push({ changes, heardAtMs: Date.now() })
    })().catch((error: unknown) => error)
    const changes = () => batches.flatMap((batch) => batch.changes)
    const until = async (what: string, look: (changes: Change[]) => boolean) => {
      for (
        const untilMs = Date.now() + 60_000;
        !look(changes());
        await new Promise((done) => setTimeout(done, 20))
      )
        if (Date.now() > untilMs) throw new Error(`waited in vain for ${what}: ${JSON.stringify(changes())}`)
    }
    return {
      batches,
      changes,
      until,
      end,
      stop: () => {
        controller.abort()
        return end
      },
    }
  }

  async function define(daemon: Daemon, xml: string): Promise<void> {
    const path = join(site.folder, `${Math.random()}.xml`)
    writeFileSync(path, xml)
    await run('virsh', ['-c', daemon.uri, 'define', path])
  }

  it('sees one machine move between two hosts, and never lose its power or itself', async () => {
    await define(a, domainXml('mig1', uuid, `<interface type='user'><mac address='${mac}'/></interface>`))
    await run('virsh', ['-c', a.uri, 'start', 'mig1'])
    const connector = open(both())
    expect((await connector.check(never)).version).toMatch(/^libvirt \d+\.\d+\.\d+, QEMU \d+\.\d+\.\d+$/)
    const before = await connector.list(never)
    expect(before.hosts.map(({ name, uuid, state }) => ({ name, uuid, state }))).toEqual([
      { name: 'kvm-a', uuid: a.hostUuid, state: 'up' },
      { name: 'kvm-b', uuid: b.hostUuid, state: 'up' },
    ])
    expect(before.machines).toMatchObject([
      { ref: uuid, name: 'mig1', hostRef: a.hostUuid, migratingToRef: null, power: 'on', uuid, macs: [mac] },
    ])

    const watch = watching(connector)
    const lister = open(both())
    const listed: { machines: MachineRecord[] }[] = []
    let isMoving = true
    const listing = (async () => {
      while (isMoving) {
        listed.push(await lister.list(never))
        await new Promise((done) => setTimeout(done, 100))
      }
    })()
    await run('virsh', [
      ...['-c', a.uri, 'migrate', '--live', '--persistent', '--undefinesource', 'mig1', b.uri],
      ...['--migrateuri', `unix://${join(site.folder, 'kvm-b', 'migration.sock')}`],
    ])
    isMoving = false
    await listing
    await watch.stop()

    const records = watch.changes().flatMap((change) => (change.type === 'machine' ? [change.machine] : []))
    expect(watch.changes().filter(({ type }) => type !== 'machine')).toEqual([])
    expect(new Set(records.map(({ ref, power }) => `${ref} ${power}`))).toEqual(new Set([`${uuid} on`]))
    const path = records.map(({ hostRef, migratingToRef }) => `${hostRef} ${migratingToRef}`)
    expect(path.filter((step, index) => step !== path[index - 1])).toEqual([
      `${a.hostUuid} ${b.hostUuid}`,
      `${b.hostUuid} null`,
    ])
    expect(listed.length).toBeGreaterThan(0)
    expect(new Set(listed.map(({ machines }) => machines.length))).toEqual(new Set([1]))
    expect(new Set(listed.flatMap(({ machines }) => machines.map(({ power }) => power)))).toEqual(
      new Set(['on']),
    )
    expect((await connector.list(never)).machines).toMatchObject([
      { ref: uuid, hostRef: b.hostUuid, power: 'on' },
    ])

    const moved = watch.batches.find(({ changes }) =>
      changes.some((change) => change.type === 'machine' && change.machine.hostRef === b.hostUuid),
    )
    const [change] = moved?.changes ?? []
    const resumedAtMs = change?.type === 'machine' ? (change.at?.getTime() ?? Number.NaN) : Number.NaN
    console.log(
      `libvirt: RESUMED on the destination to the change: ${(moved?.heardAtMs ?? Number.NaN) - resumedAtMs} ms; ${listed.length} lists meanwhile`,
    )
  })

  it('tells power, lineage and end of machines', async () => {
    const folder = join(site.folder, 'disks')
    mkdirSync(folder, { recursive: true })
    const [base, copy] = [join(folder, 'base.qcow2'), join(folder, 'copy.qcow2')]
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', base, '8M'])
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', copy])
    await run('chown', ['-R', 'daemon', folder])
    const connector = open(`unix://${a.socketPath}`)
    await connector.list(never)
    const watch = watching(connector)
    const [baseUuid, copyUuid] = [
      'aaaaaaaa-0000-4000-8000-000000000001',
      'aaaaaaaa-0000-4000-8000-000000000002',
    ]
    await define(a, domainXml('base', baseUuid, diskXml(base)))
    await define(a, domainXml('copy', copyUuid, diskXml(copy)))
    await run('virsh', ['-c', a.uri, 'start', 'copy'])
    const copies = (changes: Change[]) =>
      changes.flatMap((change) =>
        change.type === 'machine' && change.machine.ref === copyUuid ? [change.machine] : [],
      )
    await watch.until('the start', (changes) => copies(changes).at(-1)?.power === 'on')
    expect((await connector.list(never)).machines.find(({ ref }) => ref === copyUuid)).toMatchObject({
      datastores: [folder],
      isTemplate: false,
      parent: { ref: baseUuid, name: 'base', kind: 'linked', evidence: `disk ${copy} backed by ${base}` },
    })
    await run('virsh', ['-c', a.uri, 'suspend', 'copy'])
    await watch.until('the pause', (changes) => copies(changes).at(-1)?.power === 'suspended')
    await run('virsh', ['-c', a.uri, 'destroy', 'copy'])
    await watch.until('the end', (changes) => copies(changes).at(-1)?.power === 'off')
    await run('virsh', ['-c', a.uri, 'undefine', 'copy'])
    await watch.until('the removal', (changes) => changes.some(({ type }) => type === 'gone'))
    expect(watch.changes().filter(({ type }) => type === 'gone')).toEqual([{ type: 'gone', ref: copyUuid }])
    await watch.stop()
    await run('virsh', ['-c', a.uri, 'undefine', 'base'])
  })

  it('fails a list, and ends a watch, with the name of the host that cannot be reached', async () => {
    const c = await startDaemon(site.folder, 'kvm-c')
    const connector = open(`unix://${a.socketPath} unix://${c.socketPath}`)
    expect((await connector.list(never)).hosts).toHaveLength(2)
    const watch = watching(connector)
    await c.stop()
    const error = await watch.end
    expect(isAppError(error, 'unavailable') && error.params.what).toBe(`unix://${c.socketPath}`)
    await expect(connector.list(never)).rejects.toMatchObject({
      code: 'unavailable',
      params: { what: `unix://${c.socketPath}` },
    })
  })

  describe('through SSH', () => {
    let sshd: Sshd
    const key = (): PlatformCredentials => ({
      kind: 'ssh-key',
      username: sshd.username,
      privateKeyPem: sshd.privateKeyPem,
    })
    const address = () => `ssh://127.0.0.1:${sshd.port}${a.socketPath}`

    beforeAll(async () => {
      sshd = await startSshd(site.folder)
    })
    afterAll(async () => {
      await sshd?.stop()
    })

    it('shows the host key without naming an account', async () => {
      expect(await connectors.libvirt?.fingerprint(address(), never)).toBe(sshd.hostKey)
      expect(sshd.log()).not.toContain(sshd.username)
    })

    it('refuses another host key before it names an account', async () => {
      const other = `sha256:${'0'.repeat(64)}`
      await expect(open(address(), key(), other).list(never)).rejects.toMatchObject({
        code: 'certificate_untrusted',
        params: { address: `127.0.0.1:${sshd.port}`, reason: `its host key is ${sshd.hostKey}` },
      })
      await expect(open(address(), key()).list(never)).rejects.toMatchObject({
        code: 'certificate_untrusted',
      })
      expect(sshd.log()).not.toContain(sshd.username)
    })

    it('lists and hears changes by key', async () => {
      const connector = open(`${address()},unix://${b.socketPath}`, key(), sshd.hostKey)
      const { hosts } = await connector.list(never)
      expect(hosts.map(({ name, address }) => ({ name, address }))).toEqual([
        { name: 'kvm-a', address: '127.0.0.1' },
        { name: 'kvm-b', address: null },
      ])
      const watch = watching(connector)
      await define(a, domainXml('far', 'aaaaaaaa-0000-4000-8000-000000000003', ''))
      await watch.until('the new machine', (changes) =>
        changes.some((change) => change.type === 'machine' && change.machine.name === 'far'),
      )
      await watch.stop()
    })

    it('says which account or socket was refused', async () => {
      const stranger: PlatformCredentials = { kind: 'password', username: 'games', password: 'wrong' }
      await expect(open(address(), stranger, sshd.hostKey).check(never)).rejects.toMatchObject({
        code: 'platform_login_failed',
        params: { account: 'games' },
      })
      const nowhere = `ssh://127.0.0.1:${sshd.port}${site.folder}/none`
      await expect(open(nowhere, key(), sshd.hostKey).check(never)).rejects.toMatchObject({
        code: 'platform_permission',
        params: { what: 'the libvirt socket' },
      })
      await expect(open(address(), { kind: 'none' }, sshd.hostKey).check(never)).rejects.toMatchObject({
        code: 'invalid_request',
      })
    })
  })
})
