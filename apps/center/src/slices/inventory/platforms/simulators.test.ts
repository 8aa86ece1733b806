/** The connectors of oVirt and Proxmox VE in a whole center, against their simulators: what goes wrong there never deletes or doubles a machine here. */
import { type ApiClient, type Asset, apiRoutes, type Platform } from '@ringwall/contracts'
import {
  connectors,
  createDataCentre,
  type DataCentre,
  startOvirtSimulator,
  startProxmoxSimulator,
} from '@ringwall/platforms'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually, startTestCenter, type TestCenter } from '../testing/test-center.ts'

type Simulator = Awaited<ReturnType<typeof startOvirtSimulator | typeof startProxmoxSimulator>>
const machineCount = 120
const sites = [
  { kind: 'ovirt', username: 'admin@internal', list: /\/(vms|api\/vms)/, start: startOvirtSimulator },
  { kind: 'proxmox', username: 'demo@pve', list: /\/cluster\/resources/, start: startProxmoxSimulator },
] as const

let center: TestCenter
let simulator: Simulator
afterEach(async () => {
  await center.close()
  await simulator.close()
})

describe.each(sites)('$kind', ({ kind, username, list, start }) => {
  let dataCentre: DataCentre
  let admin: ApiClient
  let id: string

  async function connect(): Promise<void> {
    dataCentre = createDataCentre({ seed: 5, hosts: 4, machines: machineCount, migrationsPerMinute: 0 })
    simulator = await start({ dataCentre, username, password: 'p' })
    center = await startTestCenter(connectors)
    admin = center.as.administrator
    const { platform } = await admin(apiRoutes.createPlatform, {
      body: {
        kind,
        name: kind,
        address: simulator.address,
        fingerprint: simulator.fingerprint,
        credentials: { kind: 'password', username, password: 'p' },
        requestsPerSecond: 500,
      },
    })
    id = platform.id
    await listedAgain(0)
  }
  const read = async () => await admin(apiRoutes.getPlatform, { params: { id } })
  /** Whole again after more than `before` lists. */
  async function listedAgain(before: number): Promise<Platform> {
    return await eventually('a complete list', async () => {
      const { platform, syncs } = await read()
      return (
        platform.state === 'watching' &&
        syncs.filter(({ error }) => error === null).length > before &&
        platform
      )
    })
  }
  const goodLists = async () => (await read()).syncs.filter(({ error }) => error === null).length
  async function sync(): Promise<Platform> {
    const before = await goodLists()
    await admin(apiRoutes.syncPlatform, { params: { id } })
    return await listedAgain(before)
  }
  async function assets(): Promise<Asset[]> {
    return (await admin(apiRoutes.listAssets, { query: { platformId: id, limit: 500 } })).items
  }
  async function expectWhole(): Promise<void> {
    const found = await assets()
    expect(found).toHaveLength(dataCentre.machines.size)
    expect(new Set(found.map(({ ref }) => ref)).size).toBe(dataCentre.machines.size)
    expect((await admin(apiRoutes.listAssets, { query: { isGone: 'true' } })).total).toBe(0)
  }

  it('is read whole, and followed through migration, copy and removal', async () => {
    await connect()
    await expectWhole()
    const { counts } = (await read()).platform
    expect(counts).toMatchObject({ hosts: 4, total: dataCentre.machines.size })
    const machines = [...dataCentre.machines.values()]
    const running = machines.find(({ kind: what, power }) => what === 'machine' && power === 'on')
    const target = dataCentre.hosts.find(({ id: hostId, clusterId }) => {
      const source = dataCentre.hosts.find((host) => host.id === running?.hostId)
      return hostId !== running?.hostId && clusterId === source?.clusterId
    })
    dataCentre.startMigration(running?.id ?? '', target?.id ?? '')
    dataCentre.finishMigration(running?.id ?? '')
    const moved = await eventually('the migration', async () =>
      (await assets()).find(
        ({ macs, host }) => macs.includes(running?.macs[0] ?? '') && host?.name === target?.name,
      ),
    )
    const { asset } = await admin(apiRoutes.getAsset, { params: { id: moved.id } })
    expect(asset.placements.map(({ cause }) => cause)).toEqual(['migrated', 'discovered'])
    const copy = dataCentre.clone(running?.id ?? '', 'full')
    await eventually('the copy', async () =>
      (await assets()).some(({ macs }) => macs.includes(copy.macs[0] ?? '')),
    )
    dataCentre.remove(copy.id)
    await eventually('the removal', async () =>
      (await assets()).every(({ macs }) => !macs.includes(copy.macs[0] ?? '')),
    )
    expect(await assets()).toHaveLength(dataCentre.machines.size)
  })

  it('fails in sight, and loses and doubles nothing', async () => {
    await connect()
    const ids = new Map((await assets()).map((asset) => [asset.ref, asset.id]))
    simulator.expireSessions()
    await sync()
    await expectWhole()
    for (const fault of [{ kind: 'status', status: 500 }, { kind: 'truncate' }, { kind: 'cut' }] as const) {
      const failures = async () => (await read()).syncs.filter(({ error }) => error !== null).length
      const before = await failures()
      simulator.inject({ ...fault, match: list, times: 3 })
      await admin(apiRoutes.syncPlatform, { params: { id } })
      await eventually(`the failure by ${fault.kind}`, async () => {
        const { platform } = await read()
        return (await failures()) > before || platform.error !== null
      })
      await expectWhole()
      simulator.clearFaults()
      await sync()
      expect((await read()).platform.error).toBeNull()
    }
    simulator.inject({ kind: 'slow', delayMs: 400, match: list, times: 2 })
    await sync()
    await expectWhole()
    expect(new Map((await assets()).map((asset) => [asset.ref, asset.id]))).toEqual(ids)
  })

  it('may show a machine on two hosts or on none, and two with one identity', async () => {
    await connect()
    const [first, second, third, fourth] = [...dataCentre.machines.values()].filter(
      ({ kind: what, power, parent }) => what === 'machine' && power === 'on' && parent === null,
    )
    const two = 'onTwoHosts' in simulator.views ? simulator.views.onTwoHosts : simulator.views.onTwoNodes
    two.add(first?.id ?? '')
    if ('onTwoHosts' in simulator.views) simulator.views.onNone.add(second?.id ?? '')
    dataCentre.giveIdentity(third?.id ?? '', fourth?.id ?? '')
    await sync()
    await expectWhole()
    for (const machine of [first, second]) {
      const found = (await assets()).find(({ macs }) => macs.includes(machine?.macs[0] ?? ''))
      const { asset } = await admin(apiRoutes.getAsset, { params: { id: found?.id ?? '' } })
      expect(asset.host?.name).toBe(
        dataCentre.hosts.find(({ id: hostId }) => hostId === machine?.hostId)?.name,
      )
      expect(asset.placements.map(({ cause }) => cause)).toEqual(['discovered'])
    }
    const issues = await eventually('the issue', async () => {
      const { items } = await admin(apiRoutes.listInventoryIssues, { query: { state: 'open' } })
      return items.length > 0 && items
    })
    // oVirt gives its machines the uuids itself.
    const expected =
      kind === 'ovirt'
        ? { kind: 'duplicate_mac', value: third?.macs[0] }
        : { kind: 'duplicate_uuid', value: third?.uuid }
    expect(issues).toMatchObject([expected])
    expect(issues[0]?.assets).toHaveLength(2)
  })
})
