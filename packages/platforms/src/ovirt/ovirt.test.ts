import type { PlatformCredentials } from '@ringwall/contracts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type OvirtSimulator, startOvirtSimulator } from '../simulators/ovirt.ts'
import { createDataCentre, type DataCentre, type SimulatedMachine } from '../simulators/state.ts'
import {
  expectNoDuplicates,
  machineNamed,
  never,
  openConnector,
  testPassword,
  watching,
} from '../testing/connect.ts'
import { ovirt } from './ovirt.ts'

const account: PlatformCredentials = { kind: 'password', username: 'admin@internal', password: testPassword }

let dataCentre: DataCentre
let simulator: OvirtSimulator
beforeEach(async () => {
  dataCentre = createDataCentre({ seed: 11, clusters: 2, hosts: 6, machines: 230 })
  simulator = await startOvirtSimulator({ dataCentre, password: testPassword })
})
afterEach(() => simulator.close())

const machines = () => [...dataCentre.machines.values()]
function running(): SimulatedMachine {
  const machine = machines().find(({ kind, power }) => kind === 'machine' && power === 'on')
  if (machine === undefined) throw new Error('nothing runs')
  return machine
}
const otherHost = (machine: SimulatedMachine) =>
  dataCentre.hosts.find(({ id }) => id !== machine.hostId)?.id ?? ''
const clusterOf = (machine: SimulatedMachine) =>
  dataCentre.hosts.find(({ id }) => id === machine.hostId)?.clusterId

function expectWhole(
  inventory: Awaited<ReturnType<ReturnType<typeof openConnector>['list']>>,
  hasLineage = true,
): void {
  expectNoDuplicates(inventory)
  expect(inventory.clusters).toEqual(dataCentre.clusters.map(({ id, name }) => ({ ref: id, name })))
  expect(inventory.hosts).toHaveLength(dataCentre.hosts.length)
  expect(inventory.machines).toHaveLength(machines().length)
  for (const machine of machines()) {
    const record = machineNamed(inventory, machine.id)
    expect(record.name).toBe(machine.title)
    expect(record.isTemplate).toBe(machine.kind === 'template')
    if (machine.kind === 'template') continue
    const isOn = machine.power === 'on'
    expect(record).toMatchObject({
      hostRef: isOn ? machine.hostId : null,
      clusterRef: clusterOf(machine),
      power: machine.power,
      uuid: machine.id,
      macs: machine.macs,
      addresses: isOn ? machine.addresses : [],
    })
    if (!hasLineage) continue
    const { parent } = machine
    expect(record.datastores).toEqual([machine.datastore])
    expect(record.parent && { ref: record.parent.ref, kind: record.parent.kind }).toEqual(
      parent && { ref: parent.id, kind: parent.kind },
    )
    expect(record.parent?.name ?? null).toBe(parent && (dataCentre.machines.get(parent.id)?.title ?? null))
  }
}

describe('oVirt against its simulator', () => {
  it('checks, and signs out at the end', async () => {
    const connector = openConnector(ovirt, simulator, account)
    expect(await connector.check(never)).toEqual({
      product: 'oVirt Engine',
      version: '4.5.5-1.el8',
      instanceId: null,
      warnings: [],
    })
    await connector.close()
    expect(simulator.requests.at(-1)).toBe('POST /ovirt-engine/services/sso-logout')
  })

  it('refuses a wrong account, and another certificate before it sends anything', async () => {
    const wrong = { ...account, password: 'wrong' } as PlatformCredentials
    await using stranger = openConnector(ovirt, simulator, wrong)
    await expect(stranger.check(never)).rejects.toMatchObject({ code: 'platform_login_failed' })
    const seen = simulator.requests.length
    const impostor = { address: simulator.address, fingerprint: `sha256:${'0'.repeat(64)}` }
    await using connector = openConnector(ovirt, impostor, account)
    await expect(connector.check(never)).rejects.toMatchObject({ code: 'certificate_untrusted' })
    expect(simulator.requests).toHaveLength(seen)
  })

  it('lists every page as it is', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    const progress: number[] = []
    expectWhole(await connector.list(never, (objects) => progress.push(objects)))
    expect(progress).toEqual([100, 200, 230])
    expect(simulator.requests.filter((line) => line.includes('/nics'))).toEqual([])
  })

  it('lists an engine of version 3.6: Basic sign-in, network cards one by one, the older form', async () => {
    const old = await startOvirtSimulator({ dataCentre, password: testPassword, form: 'v3' })
    await using connector = openConnector(ovirt, old, account)
    expect(await connector.check(never)).toMatchObject({ version: '3.6.8-0.1.el6' })
    expectWhole(await connector.list(never), false)
    await using stranger = openConnector(ovirt, old, { ...account, password: 'wrong' } as PlatformCredentials)
    await expect(stranger.check(never)).rejects.toMatchObject({ code: 'platform_login_failed' })
    await old.close()
  })

  it('asks for less when the engine refuses to follow links', async () => {
    simulator.inject({ kind: 'status', status: 400, match: /follow=/, times: 2 })
    await using connector = openConnector(ovirt, simulator, account)
    expectWhole(await connector.list(never), false)
  })

  it('sees a migration within one poll, at its beginning and at its end', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    await connector.list(never)
    await using watch = watching(connector)
    const machine = running()
    const from = machine.hostId
    const to = otherHost(machine)
    dataCentre.startMigration(machine.id, to)
    expect(await watch.batch()).toContainEqual(
      expect.objectContaining({
        machine: expect.objectContaining({ ref: machine.id, hostRef: from, power: 'on' }),
      }),
    )
    dataCentre.finishMigration(machine.id)
    expect(await watch.batch()).toContainEqual(
      expect.objectContaining({
        machine: expect.objectContaining({ ref: machine.id, hostRef: to, power: 'on' }),
      }),
    )
    expect(await watch.batch()).toEqual([])
  })

  it('misses no event that is committed late', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    await connector.list(never)
    await using watch = watching(connector)
    simulator.reorderEvents(true)
    const some = machines()
      .filter(({ kind, power }) => kind === 'machine' && power === 'on')
      .slice(0, 4)
    for (const { id } of some) dataCentre.setPower(id, 'off')
    const changes = [...(await watch.batch()), ...(await watch.batch())]
    const off = changes.flatMap((change) =>
      change.type === 'machine' && change.machine.power === 'off' ? [change.machine.ref] : [],
    )
    expect(off.sort()).toEqual(some.map(({ id }) => id).sort())
    expect(await watch.batch()).toEqual([])
  })

  it('keeps a machine on two hosts, on none, and one that slipped between two pages', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    await connector.list(never)
    const [twice, nowhere, slipped] = machines().filter(
      ({ kind, power }) => kind === 'machine' && power === 'on',
    )
    if (twice === undefined || nowhere === undefined || slipped === undefined)
      throw new Error('too few machines')
    simulator.views.onTwoHosts.add(twice.id)
    simulator.views.onNone.add(nowhere.id)
    simulator.views.overlooked.add(slipped.id)
    const inventory = await connector.list(never)
    expectNoDuplicates(inventory)
    expect(inventory.machines).toHaveLength(machines().length)
    expect(machineNamed(inventory, twice.id).hostRef).toBe(twice.hostId)
    expect(machineNamed(inventory, nowhere.id)).toMatchObject({ hostRef: null, power: 'on' })
    expect(machineNamed(inventory, slipped.id).hostRef).toBe(slipped.hostId)
  })

  it('reads the pages again when something happened while a first list was read', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    simulator.inject({ kind: 'slow', delayMs: 1_000, match: /\/vms\?.*page 2/, times: 1 })
    const listing = connector.list(never)
    const isAtSecondPage = () => simulator.requests.some((line) => /\/vms\?.*page 2/.test(line))
    while (!isAtSecondPage()) await new Promise((done) => setTimeout(done, 5))
    // It was on the first page, so that the first of the second page moves there, unseen.
    const first = machines()
      .filter(({ kind }) => kind === 'machine')
      .sort((a, b) => (a.title < b.title ? -1 : 1))[0]
    dataCentre.remove(first?.id ?? '')
    expectWhole(await listing)
  })

  it('tells new machines and templates, hosts, and what is gone', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    await connector.list(never)
    await using watch = watching(connector)
    const template = machines().find(({ kind }) => kind === 'template')
    const host = dataCentre.hosts[2]
    if (template === undefined || host === undefined) throw new Error('no template')
    const copy = dataCentre.clone(template.id, 'linked')
    expect(await watch.next()).toContainEqual(
      expect.objectContaining({
        machine: expect.objectContaining({
          ref: copy.id,
          parent: expect.objectContaining({ ref: template.id, name: template.title, kind: 'linked' }),
        }),
      }),
    )
    dataCentre.setHostUp(host.id, false)
    dataCentre.remove(copy.id)
    const changes = await watch.next()
    expect(changes).toContainEqual(
      expect.objectContaining({ host: expect.objectContaining({ ref: host.id, state: 'down' }) }),
    )
    expect(changes).toContainEqual({ type: 'gone', ref: copy.id })
    expectWhole(await connector.list(never))
  })

  it('signs in again when the session ends', async () => {
    await using connector = openConnector(ovirt, simulator, account)
    await connector.list(never)
    simulator.expireSessions()
    expectWhole(await connector.list(never))
    expect(simulator.requests.filter((line) => line.includes('/sso/oauth/token'))).toHaveLength(2)
  })

  it.each([
    [
      'a truncated second page',
      { kind: 'truncate' as const, match: /\/vms\?.*page 2/, times: 1 },
      'platform_answer_invalid',
    ],
    [
      'a connection cut in the second page',
      { kind: 'cut' as const, match: /\/vms\?.*page 2/, times: 1 },
      'unavailable',
    ],
    [
      'status 500 at the third page',
      { kind: 'status' as const, status: 500, match: /\/vms\?.*page 3/, times: 1 },
      'platform_answer_invalid',
    ],
    [
      'status 503 at the templates',
      { kind: 'status' as const, status: 503, match: /\/templates/, times: 1 },
      'unavailable',
    ],
    [
      'hosts that are refused',
      { kind: 'status' as const, status: 403, match: /\/hosts/, times: 1 },
      'platform_permission',
    ],
    [
      'events that are truncated',
      { kind: 'truncate' as const, match: /\/events/, times: 1 },
      'platform_answer_invalid',
    ],
  ])('fails as a whole with %s, and lists everything afterwards', async (_, fault, code) => {
    await using connector = openConnector(ovirt, simulator, account)
    simulator.inject(fault)
    await expect(connector.list(never)).rejects.toMatchObject({ code })
    simulator.clearFaults()
    expectWhole(await connector.list(never))
  })

  it('waits for slow answers, and takes duplicate identities as two machines', async () => {
    const [first, second] = machines().filter(({ kind }) => kind === 'machine')
    if (first === undefined || second === undefined) throw new Error('too few machines')
    dataCentre.giveIdentity(first.id, second.id)
    simulator.inject({ kind: 'slow', delayMs: 300, match: /\/vms/, times: 2 })
    await using connector = openConnector(ovirt, simulator, account)
    const inventory = await connector.list(never)
    expectWhole(inventory)
    expect(inventory.machines.filter(({ macs }) => macs.includes(first.macs[0] ?? ''))).toHaveLength(2)
  })

  it('stops at once when it is told to', async () => {
    simulator.inject({ kind: 'slow', delayMs: 5_000, match: /\/vms/, times: 1 })
    await using connector = openConnector(ovirt, simulator, account)
    await expect(connector.list(AbortSignal.timeout(500))).rejects.toMatchObject({ code: 'aborted' })
  })
})
