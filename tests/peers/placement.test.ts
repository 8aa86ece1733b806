/**
 * From a migration on the platform itself to the machine's placement in a center: real processes all the way, a vCenter
 * simulator that was not written here, and a live migration between two libvirt daemons of a guest that has an agent.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSite, type Json, type Site, waitFor } from '../e2e/harness.ts'
import { createSite as createHosts, type Daemon, startDaemon } from './libvirt-daemons.ts'
import { missingPrograms } from './programs.ts'
import { startVcsim, type Vcsim, vcsimMissing } from './vcsim/vcsim.ts'

const noVcsim = vcsimMissing()
const noLibvirt = missingPrograms('libvirtd', 'virsh', 'qemu-system-x86_64')
if (noVcsim !== undefined) process.stderr.write(`skipped: placements of vSphere, as ${noVcsim}\n`)
if (noLibvirt.length > 0)
  process.stderr.write(`skipped: placements of libvirt, as this machine lacks ${noLibvirt.join(', ')}\n`)

type Asset = { id: string; ref: string; name: string; host: { id: string; name: string } | null }
type AssetDetail = Asset & { placements: { host: { name: string }; to: string | null; cause: string }[] }

let site: Site
let machineId: string
beforeAll(async () => {
  site = await createSite()
  machineId = await site.startAgent()
})
afterAll(async () => await site?.close())

/** Adds a platform as the console does: look, compare, sign in, keep; answers when its first list is in. */
async function addPlatform(kind: string, address: string, credentials: Json): Promise<string> {
  const probed = await site.api('POST', '/platforms/probe', { kind, address })
  expect(probed.status).toBe(200)
  const { fingerprint } = probed.body as { fingerprint: string | null }
  const connection = { kind, address, fingerprint, credentials }
  expect(await site.api('POST', '/platforms/test', connection)).toMatchObject({ status: 200 })
  const { status, body } = await site.api('POST', '/platforms', { ...connection, name: kind })
  expect({ status, body }).toMatchObject({ status: 200 })
  const { id } = (body as { platform: { id: string } }).platform
  await waitFor('the first list', async () => {
    const { platform } = await site.get<{ platform: Json }>(`/platforms/${id}`)
    return platform.state === 'watching' ? true : undefined
  })
  return id
}
const assetsOf = async (platformId: string) =>
  (await site.list(`/assets?platformId=${platformId}`)) as unknown as Asset[]
const assetOf = async (id: string) => (await site.get<{ asset: AssetDetail }>(`/assets/${id}`)).asset
const sinceMs = (fromMs: number) => Math.round(performance.now() - fromMs)

describe.skipIf(noVcsim !== undefined)('vSphere', () => {
  let vcsim: Vcsim
  beforeAll(async () => {
    vcsim = await startVcsim({})
  })
  afterAll(async () => await vcsim?.stop())

  it('is followed: counts, a migration, one line of history for it', async () => {
    const { address, username, password } = vcsim
    const platformId = await addPlatform('vsphere', address, { kind: 'password', username, password })
    const assets = await assetsOf(platformId)
    expect(assets).toHaveLength(200)
    const { platforms } = await site.get<{
      platforms: { id: string; hosts: { id: string; name: string }[] }[]
    }>('/topology')
    const hosts = platforms.find(({ id }) => id === platformId)?.hosts ?? []
    expect(hosts).toHaveLength(4)
    const [moved] = assets
    const hostRefs = await refsOfHosts(vcsim)
    const target = hosts.find(({ id }) => id !== moved?.host?.id)
    const startedAtMs = performance.now()
    await vcsim.call(
      'RelocateVM_Task',
      { type: 'VirtualMachine', id: String(moved?.ref) },
      `<spec><host type="HostSystem">${hostRefs.get(String(target?.name))}</host></spec>`,
    )
    await waitFor('the new host', async () =>
      (await assetOf(String(moved?.id))).host?.id === target?.id ? true : undefined,
    )
    process.stdout.write(`vSphere: from the order to migrate to the placement ${sinceMs(startedAtMs)} ms\n`)
    const { placements } = await assetOf(String(moved?.id))
    expect(placements).toMatchObject([
      { host: { name: target?.name }, to: null, cause: 'migrated' },
      { host: { name: moved?.host?.name }, to: expect.any(String), cause: 'discovered' },
    ])
  })
})

/** Names of hosts as vcsim names their objects: asked of itself, as tests are no connector. */
async function refsOfHosts(vcsim: Vcsim): Promise<Map<string, string>> {
  const view = /<returnval type="ContainerView">([^<]+)</.exec(
    await vcsim.call(
      'CreateContainerView',
      { type: 'ViewManager', id: 'ViewManager' },
      '<container type="Folder">group-d1</container><type>HostSystem</type><recursive>true</recursive>',
    ),
  )?.[1]
  const answer = await vcsim.call(
    'RetrieveProperties',
    { type: 'PropertyCollector', id: 'propertyCollector' },
    `<specSet><propSet><type>HostSystem</type><pathSet>name</pathSet></propSet><objectSet><obj type="ContainerView">${view}</obj><skip>true</skip><selectSet xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="TraversalSpec"><name>v</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet></specSet>`,
  )
  return new Map(
    [
      ...answer.matchAll(/<obj type="HostSystem">([^<]+)<\/obj>.*?<name>name<\/name><val[^>]*>([^<]+)</gs),
    ].map((match) => [match[2] ?? '', match[1] ?? '']),
  )
}

/** Runs a program to its end. */
async function run(command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, { env: { ...process.env, LC_ALL: 'C' } })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${output}`)
}

describe.skipIf(noLibvirt.length > 0)('libvirt', () => {
  let hosts: ReturnType<typeof createHosts>
  let a: Daemon
  let b: Daemon
  beforeAll(async () => {
    hosts = createHosts()
    a = await startDaemon(hosts.folder, 'kvm-a')
    b = await startDaemon(hosts.folder, 'kvm-b')
  })
  afterAll(async () => {
    await a?.stop()
    await b?.stop()
    hosts?.remove()
  })

  it('is followed: the live migration of a machine with an agent changes its placement and nothing else', async () => {
    const before = (await site.get<{ machine: Json }>(`/machines/${machineId}`)).machine
    const { addresses } = before.facts as { addresses: { mac: string }[] }
    const mac = addresses
      .map((address) => address.mac)
      .find((text) => !/^(00:){5}00$/.test(text) && text !== '')
    const domain = join(hosts.folder, 'domain.xml')
    writeFileSync(
      domain,
      `<domain type='qemu'><name>web-1</name><uuid>6f1c2d5e-2222-4333-8444-555566667777</uuid>
        <memory unit='MiB'>32</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
        <cpu mode='custom' match='minimum' check='none'><model>qemu64</model></cpu>
        <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><interface type='user'><mac address='${mac}'/></interface></devices></domain>`,
    )
    await run('virsh', ['-c', a.uri, 'define', domain])
    await run('virsh', ['-c', a.uri, 'start', 'web-1'])
    const platformId = await addPlatform('libvirt', `unix://${a.socketPath},unix://${b.socketPath}`, {
      kind: 'none',
    })
    const joined = await waitFor('the agent to be joined', async () => {
      const { machine } = await site.get<{ machine: { asset: { id: string; evidence: string } | null } }>(
        `/machines/${machineId}`,
      )
      return machine.asset ?? undefined
    })
    expect(joined.evidence).toContain(String(mac))
    expect(await assetsOf(platformId)).toHaveLength(1)

    let placedAtMs: number | undefined
    const seen = waitFor('the new host', async () => {
      if ((await assetOf(joined.id)).host?.name !== 'kvm-b') return undefined
      placedAtMs = performance.now()
      return true
    })
    await run('virsh', [
      ...['-c', a.uri, 'migrate', '--live', '--persistent', '--undefinesource', 'web-1', b.uri],
      ...['--migrateuri', `unix://${join(hosts.folder, 'kvm-b', 'migration.sock')}`],
    ])
    const endedAtMs = performance.now()
    await seen
    process.stdout.write(
      `libvirt: placement ${Math.round((placedAtMs ?? 0) - endedAtMs)} ms after virsh said that the migration is over\n`,
    )
    expect((await assetOf(joined.id)).placements).toMatchObject([
      { host: { name: 'kvm-b' }, to: null, cause: 'migrated' },
      { host: { name: 'kvm-a' } },
    ])
    const after = (await site.get<{ machine: Json }>(`/machines/${machineId}`)).machine
    expect(after).toMatchObject({
      desiredVersion: before.desiredVersion,
      asset: { host: { name: 'kvm-b' } },
    })
    const events = await site.list(`/machines/${machineId}/events`)
    expect(events.filter(({ type }) => type === 'machine.migrated')).toHaveLength(1)
  })
})
