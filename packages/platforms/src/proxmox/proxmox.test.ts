import type { PlatformCredentials } from '@ringwall/contracts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ProxmoxSimulator, startProxmoxSimulator } from '../simulators/proxmox.ts'
import { createDataCentre, type DataCentre, type SimulatedMachine } from '../simulators/state.ts'
import {
  expectNoDuplicates,
  machineNamed,
  never,
  openConnector,
  testPassword,
  watching,
} from '../testing/connect.ts'
import { proxmox } from './proxmox.ts'

const token = { tokenId: 'audit@pve!ringwall', secret: '6e1f6b9c-0000-4000-8000-5d1f0c0ffee0' }
const byToken: PlatformCredentials = { kind: 'token', ...token }
const byPassword: PlatformCredentials = { kind: 'password', username: 'demo@pve', password: testPassword }

let dataCentre: DataCentre
let simulator: ProxmoxSimulator
beforeEach(async () => {
  dataCentre = createDataCentre({ seed: 7, clusters: 1, hosts: 4, machines: 40, containers: 3 })
  simulator = await startProxmoxSimulator({ dataCentre, password: testPassword, token })
})
afterEach(() => simulator.close())

const machines = () => [...dataCentre.machines.values()]
const refOf = (machine: SimulatedMachine) =>
  `${machine.kind === 'container' ? 'lxc' : 'qemu'}/${machine.number}`
const nodeOf = (hostId: string | null) => `node/${dataCentre.hosts.find(({ id }) => id === hostId)?.name}`
function running(): SimulatedMachine {
  const machine = machines().find(({ kind, power }) => kind === 'machine' && power === 'on')
  if (machine === undefined) throw new Error('nothing runs')
  return machine
}
const otherHost = (machine: SimulatedMachine) =>
  dataCentre.hosts.find(({ id }) => id !== machine.hostId)?.id ?? ''

describe('Proxmox VE against its simulator', () => {
  it('checks with a token and with a password, and tells what the account lacks', async () => {
    for (const credentials of [byToken, byPassword]) {
      await using connector = openConnector(proxmox, simulator, credentials)
      const identity = await connector.check(never)
      expect(identity).toMatchObject({ product: 'Proxmox VE', version: '9.1.5', warnings: [] })
      expect(identity.instanceId).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    }
    const blind = await startProxmoxSimulator({
      dataCentre,
      password: testPassword,
      privileges: ['Sys.Audit'],
    })
    await using connector = openConnector(proxmox, blind, byPassword)
    expect((await connector.check(never)).warnings).toEqual([
      { code: 'guests_hidden', params: { privilege: 'VM.Audit' } },
      { code: 'guest_addresses_hidden', params: { privilege: 'VM.GuestAgent.Audit' } },
    ])
    // Proxmox answers an empty list here, which would look like the end of every guest.
    await expect(connector.list(never)).rejects.toMatchObject({ code: 'platform_permission' })
    await blind.close()
  })

  it('refuses a wrong account, and another certificate before it sends anything', async () => {
    const wrong: PlatformCredentials[] = [
      { ...byPassword, password: 'wrong' } as PlatformCredentials,
      { ...byToken, secret: 'x' } as PlatformCredentials,
    ]
    for (const credentials of wrong) {
      await using connector = openConnector(proxmox, simulator, credentials)
      await expect(connector.check(never)).rejects.toMatchObject({ code: 'platform_login_failed' })
    }
    const seen = simulator.requests.length
    const impostor = { address: simulator.address, fingerprint: `sha256:${'0'.repeat(64)}` }
    await using connector = openConnector(proxmox, impostor, byPassword)
    await expect(connector.check(never)).rejects.toMatchObject({ code: 'certificate_untrusted' })
    expect(simulator.requests).toHaveLength(seen)
    expect(await proxmox.fingerprint(simulator.address, never)).toBe(simulator.fingerprint)
  })

  it('lists everything as it is', async () => {
    await using connector = openConnector(proxmox, simulator, byToken)
    let progress = 0
    const inventory = await connector.list(never, (objects) => {
      progress = objects
    })
    expectNoDuplicates(inventory)
    expect(inventory.clusters).toEqual([{ ref: 'cluster', name: 'demo' }])
    expect(inventory.hosts).toHaveLength(4)
    expect(inventory.hosts[0]).toMatchObject({
      name: 'demo-host-01',
      state: 'up',
      version: '9.1.5',
      clusterRef: 'cluster',
    })
    expect(inventory.machines).toHaveLength(machines().length)
    expect(progress).toBe(machines().length)
    for (const machine of machines()) {
      const isContainer = machine.kind === 'container'
      const isReporting = isContainer || machine.power === 'on'
      const record = machineNamed(inventory, refOf(machine))
      expect(record).toMatchObject({
        name: machine.name,
        isTemplate: machine.kind === 'template',
        hostRef: nodeOf(machine.hostId),
        migratingToRef: null,
        power: machine.power,
        uuid: isContainer ? null : machine.uuid,
        macs: machine.macs,
        addresses: isReporting ? machine.addresses : [],
        datastores: [machine.datastore],
      })
      if (machine.parent?.kind === 'linked') {
        const source = dataCentre.machines.get(machine.parent.id)
        expect(record.parent).toMatchObject({
          ref: `qemu/${source?.number}`,
          name: source?.name,
          kind: 'linked',
        })
        expect(record.parent?.evidence).toContain(`base-${source?.number}-disk-0/vm-${machine.number}-disk-0`)
      }
      if (machine.parent?.kind === 'full') {
        const source = dataCentre.machines.get(machine.parent.id)
        expect(record.parent).toMatchObject({ ref: `qemu/${source?.number}`, kind: 'full' })
        expect(record.parent?.evidence).toMatch(/^task UPID:.*:qmclone:/)
      }
    }
  })

  it('sees a migration within one poll, and its beginning is no disappearance', async () => {
    await using connector = openConnector(proxmox, simulator, byToken)
    await connector.list(never)
    await using watch = watching(connector)
    const machine = running()
    const from = machine.hostId
    const to = otherHost(machine)
    dataCentre.startMigration(machine.id, to)
    expect(await watch.batch()).toMatchObject([
      { type: 'machine', machine: { ref: refOf(machine), hostRef: nodeOf(from) } },
    ])
    dataCentre.finishMigration(machine.id)
    expect(await watch.batch()).toMatchObject([
      {
        type: 'machine',
        machine: { ref: refOf(machine), hostRef: nodeOf(to), migratingToRef: null, power: 'on' },
      },
    ])
    expect(await watch.batch()).toEqual([])
  })

  it('keeps a guest that is on two nodes, and one that is on none', async () => {
    await using connector = openConnector(proxmox, simulator, byToken)
    await connector.list(never)
    const machine = running()
    const from = machine.hostId
    const to = otherHost(machine)
    await using watch = watching(connector)
    dataCentre.startMigration(machine.id, to)
    simulator.views.onTwoNodes.add(machine.id)
    expect(await watch.batch()).toMatchObject([
      { type: 'machine', machine: { hostRef: nodeOf(from), migratingToRef: nodeOf(to) } },
    ])
    const twice = await connector.list(never)
    expectNoDuplicates(twice)
    expect(machineNamed(twice, refOf(machine))).toMatchObject({
      hostRef: nodeOf(from),
      migratingToRef: nodeOf(to),
    })

    simulator.views.onTwoNodes.clear()
    simulator.views.onNone.add(machine.id)
    expect(await watch.batch()).toEqual([])
    simulator.views.onNone.clear()
    dataCentre.finishMigration(machine.id)
    expect(await watch.batch()).toMatchObject([{ type: 'machine', machine: { hostRef: nodeOf(to) } }])
    expect(machineNamed(await connector.list(never), refOf(machine)).hostRef).toBe(nodeOf(to))
  })

  it('looks for a missing guest again before a list is complete, and hints that it is gone after two polls', async () => {
    await using connector = openConnector(proxmox, simulator, byToken)
    const before = await connector.list(never)
    const [hidden, removed] = machines().filter(({ kind }) => kind === 'machine')
    if (hidden === undefined || removed === undefined) throw new Error('too few machines')
    simulator.views.onNone.add(hidden.id)
    dataCentre.remove(removed.id)
    const listing = connector.list(never)
    while (!simulator.requests.slice(-1)[0]?.endsWith('/cluster/resources'))
      await new Promise((done) => setTimeout(done, 5))
    await new Promise((done) => setTimeout(done, 200))
    simulator.views.onNone.clear()
    const after = await listing
    expect(after.machines).toHaveLength(before.machines.length - 1)
    expect(after.machines.map(({ ref }) => ref)).toContain(refOf(hidden))
    await using watch = watching(connector)
    dataCentre.remove(hidden.id)
    expect(await watch.batch()).toEqual([])
    expect(await watch.batch()).toEqual([{ type: 'gone', ref: refOf(hidden) }])
    expect(await watch.batch()).toEqual([])
  })

  it('tells new clones with their source, new templates, power and nodes', async () => {
    await using connector = openConnector(proxmox, simulator, byToken)
    await connector.list(never)
    await using watch = watching(connector)
    const source = machines().find(({ kind, parent }) => kind === 'machine' && parent === null)
    const host = dataCentre.hosts[3]
    if (source === undefined || host === undefined) throw new Error('no source')
    const copy = dataCentre.clone(source.id, 'full')
    expect(await watch.next()).toMatchObject([
      { type: 'machine', machine: { ref: refOf(copy), parent: { ref: refOf(source), kind: 'full' } } },
    ])
    dataCentre.makeTemplate(copy.id)
    expect(await watch.next()).toMatchObject([
      { type: 'machine', machine: { ref: refOf(copy), isTemplate: true } },
    ])
    dataCentre.setHostUp(host.id, false)
    const changes = await watch.next()
    expect(changes).toContainEqual(
      expect.objectContaining({
        type: 'host',
        host: expect.objectContaining({ name: host.name, state: 'down' }),
      }),
    )
    // Its guests stay, with what was known of them.
    const lost = machines().filter(({ hostId }) => hostId === host.id)
    expect(changes).toHaveLength(lost.length + 1)
    const inventory = await connector.list(never)
    expect(inventory.machines).toHaveLength(machines().length)
    for (const machine of lost)
      expect(machineNamed(inventory, refOf(machine))).toMatchObject({ power: 'unknown', macs: machine.macs })
  })

  it('signs in again when the session ends, once for requests side by side', async () => {
    await using connector = openConnector(proxmox, simulator, byPassword)
    await connector.list(never)
    simulator.expireSessions()
    expect((await connector.list(never)).machines).toHaveLength(machines().length)
    expect(simulator.requests.filter((line) => line.endsWith('/access/ticket'))).toHaveLength(2)
  })

  it.each([
    [
      'truncated resources',
      { kind: 'truncate' as const, match: /\/cluster\/resources/, times: 1 },
      'platform_answer_invalid',
    ],
    [
      'a connection cut in the resources',
      { kind: 'cut' as const, match: /\/cluster\/resources/, times: 1 },
      'unavailable',
    ],
    [
      'a truncated configuration',
      { kind: 'truncate' as const, match: /\/qemu\/110\/config/, times: 1 },
      'platform_answer_invalid',
    ],
    [
      'resources with status 500',
      { kind: 'status' as const, status: 500, match: /\/cluster\/resources/, times: 1 },
      'platform_answer_invalid',
    ],
    [
      'resources with status 503',
      { kind: 'status' as const, status: 503, match: /\/cluster\/resources/, times: 1 },
      'unavailable',
    ],
    [
      'a configuration that is refused',
      { kind: 'status' as const, status: 403, match: /\/qemu\/110\/config/, times: 1 },
      'platform_permission',
    ],
    [
      'a configuration that is never there',
      { kind: 'status' as const, status: 500, match: /\/qemu\/110\/config/, times: 99 },
      'platform_answer_invalid',
    ],
  ])('fails as a whole with %s, and lists everything afterwards', async (_, fault, code) => {
    await using connector = openConnector(proxmox, simulator, byToken)
    simulator.inject(fault)
    await expect(connector.list(never)).rejects.toMatchObject({ code })
    simulator.clearFaults()
    expect((await connector.list(never)).machines).toHaveLength(machines().length)
  })

  it('survives a configuration that was elsewhere for a moment, agents that fail, slow answers and duplicates', async () => {
    const [first, second] = machines().filter(({ kind }) => kind === 'machine')
    if (first === undefined || second === undefined) throw new Error('too few machines')
    dataCentre.giveIdentity(first.id, second.id)
    simulator.views.twice.add(first.id)
    simulator.inject({ kind: 'status', status: 500, match: /\/qemu\/110\/config/, times: 1 })
    simulator.inject({ kind: 'status', status: 500, match: /\/agent\//, times: 3 })
    simulator.inject({ kind: 'slow', delayMs: 300, match: /\/cluster\/status/, times: 1 })
    await using connector = openConnector(proxmox, simulator, byToken)
    const inventory = await connector.list(never)
    expectNoDuplicates(inventory)
    expect(inventory.machines).toHaveLength(machines().length)
    // Two guests with one identity are two guests.
    expect(inventory.machines.filter(({ uuid }) => uuid === first.uuid)).toHaveLength(2)
  })

  it('ends the watch with an error when a poll fails, and loses nothing', async () => {
    await using connector = openConnector(proxmox, simulator, byToken)
    await connector.list(never)
    const machine = running()
    const to = otherHost(machine)
    {
      await using watch = watching(connector)
      dataCentre.startMigration(machine.id, to)
      dataCentre.finishMigration(machine.id)
      simulator.inject({ kind: 'status', status: 500, match: /\/cluster\/resources/, times: 1 })
      await expect(watch.batch()).rejects.toMatchObject({ code: 'platform_answer_invalid' })
    }
    await using again = watching(connector)
    expect(await again.next()).toMatchObject([
      { type: 'machine', machine: { ref: refOf(machine), hostRef: nodeOf(to) } },
    ])
  })
})
