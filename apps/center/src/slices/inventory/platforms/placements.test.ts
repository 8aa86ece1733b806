import { apiRoutes } from '@ringwall/contracts'
import { swapUuid } from '@ringwall/platforms'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { host, machine, smallInventory } from '../testing/fake-connector.ts'
import { changeOf, type PlatformSite, startPlatformSite } from '../testing/platform-site.ts'
import { addAgent, eventually } from '../testing/test-center.ts'

const uuid = '564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6'

let site: PlatformSite
beforeEach(async () => {
  site = await startPlatformSite()
})
afterEach(async () => await site.close())

describe('a live migration', () => {
  it('closes one placement, opens another, is one line of history and touches no desired state', async () => {
    site.fake.inventory = smallInventory([machine('1', { uuid })])
    const machineId = await addAgent(site.center, 'web-1', { uuid: swapUuid(uuid) })
    const id = await site.addPlatform()
    await site.listed(id)
    const joined = await eventually('the join', async () => (await site.assets())[0]?.machine ?? undefined)
    expect(joined).toMatchObject({ id: machineId, evidence: `uuid ${uuid} (other byte order)` })
    const desiredOf = async () =>
      (
        await sql`select desired_version, desired_hash, desired_payload from peer where id = ${machineId}`.execute(
          site.center.db,
        )
      ).rows
    await sql`update peer set desired_version = 7, desired_hash = 'h', desired_payload = 'p' where id = ${machineId}`.execute(
      site.center.db,
    )
    const [desired, policy] = [await desiredOf(), await site.center.as.viewer(apiRoutes.getMalwarePolicy, {})]
    const [asset] = await site.assets()
    const places: string[] = []
    site.center.core.machines.onPlaces((ids) => {
      places.push(...ids)
    })

    await site.fake.yield([changeOf(machine('1', { uuid, migratingToRef: 'h2' }))])
    places.length = 0
    expect((await site.assets())[0]).toMatchObject({
      host: { name: 'host h1' },
      migratingTo: { name: 'host h2' },
    })
    expect(await site.placementsOf(asset?.id ?? '')).toEqual(['host h1 discovered open'])
    const at = new Date(Date.now() - 300)
    await site.fake.yield([changeOf(machine('1', { uuid, hostRef: 'h2' }), at)])
    expect(places).toEqual([machineId])
    // The same again, as platforms tell it, and the list after it.
    await site.fake.yield([changeOf(machine('1', { uuid, hostRef: 'h2' }), at)])
    site.fake.inventory = smallInventory([machine('1', { uuid, hostRef: 'h2' })])
    await site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await site.listed(id, 2)

    expect(await site.placementsOf(asset?.id ?? '')).toEqual([
      'host h2 migrated open',
      'host h1 discovered closed',
    ])
    const { placements } = (
      await site.center.as.viewer(apiRoutes.getAsset, { params: { id: asset?.id ?? '' } })
    ).asset
    expect(placements[0]?.from).toBe(at.toISOString())
    const lines = (
      await site.center.as.viewer(apiRoutes.listMachineEvents, { params: { id: machineId } })
    ).items.filter(({ type }) => type === 'machine.migrated')
    expect(lines.map(({ body }) => body)).toMatchObject([
      { from: 'host h1', to: 'host h2', cause: 'migrated', platform: 'engine' },
    ])
    expect(await desiredOf()).toEqual(desired)
    expect(await site.center.as.viewer(apiRoutes.getMalwarePolicy, {})).toEqual(policy)
    const { platform } = await site.getPlatform(id)
    expect(platform.lagMs).toBeGreaterThanOrEqual(300)
    const { asset: ofMachine } = (
      await site.center.as.viewer(apiRoutes.getMachine, { params: { id: machineId } })
    ).machine
    expect(ofMachine).toMatchObject({
      id: asset?.id,
      platform: { name: 'engine' },
      host: { name: 'host h2' },
    })
    const placement = (await site.center.core.machines.placementsOf(site.center.db, [machineId])).get(
      machineId,
    )
    expect(placement).toEqual({
      hostId: ofMachine?.host?.id,
      hostName: 'host h2',
      datastores: ['ds1'],
      platformId: id,
      parentMachineId: null,
      isTemplate: false,
    })
  })

  it('keeps the known host while a list has the machine on two hosts or on none', async () => {
    site.fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await site.addPlatform()
    await site.listed(id)
    site.fake.inventory = smallInventory([
      machine('1', { hostRef: 'h2' }),
      machine('1', { hostRef: 'h1' }),
      machine('2', { hostRef: null }),
    ])
    await site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await site.listed(id, 2)
    const [first, second] = await site.assets()
    expect(first).toMatchObject({ host: { name: 'host h1' }, migratingTo: { name: 'host h2' } })
    expect(second).toMatchObject({ host: { name: 'host h1' }, migratingTo: null })
    for (const asset of [first, second])
      expect(await site.placementsOf(asset?.id ?? '')).toEqual(['host h1 discovered open'])
  })

  it('takes the last of several records, and asks for a list where one names a host that is not known', async () => {
    site.fake.inventory = smallInventory([machine('1')])
    const id = await site.addPlatform()
    await site.listed(id)
    await site.fake.yield([
      changeOf(machine('1', { hostRef: 'h2' })),
      changeOf(machine('1', { hostRef: 'h1' })),
    ])
    expect(await site.placementsOf((await site.assets())[0]?.id ?? '')).toEqual(['host h1 discovered open'])
    site.fake.inventory = {
      ...site.fake.inventory,
      hosts: [...site.fake.inventory.hosts, host('h3')],
      machines: [machine('1', { hostRef: 'h3' })],
    }
    await site.fake.yield([changeOf(machine('1', { hostRef: 'h3' }))])
    await site.listed(id, 2)
    expect((await site.assets())[0]).toMatchObject({ host: { name: 'host h3' } })
    expect(await site.placementsOf((await site.assets())[0]?.id ?? '')).toEqual([
      'host h3 migrated open',
      'host h1 discovered closed',
    ])
  })
})
