import { AppError, apiRoutes } from '@ringwall/contracts'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { machine, smallInventory } from '../testing/fake-connector.ts'
import { changeOf, type PlatformSite, startPlatformSite } from '../testing/platform-site.ts'
import { eventually } from '../testing/test-center.ts'

let site: PlatformSite
beforeEach(async () => {
  site = await startPlatformSite()
})
afterEach(async () => await site.close())

describe('a first list', () => {
  it('gives counts on the platform, in the topology and in the pools', async () => {
    site.fake.inventory = smallInventory([
      machine('1'),
      machine('2', { hostRef: 'h2', power: 'off' }),
      machine('3', { hostRef: null, power: 'off' }),
      machine('t', { isTemplate: true, hostRef: null, power: 'off' }),
    ])
    const id = await site.addPlatform()
    const { counts } = await site.listed(id)
    const expected = { total: 4, templates: 1, protected: 0, unprotected: 3, poweredOn: 1 }
    expect(counts).toEqual({ ...expected, clusters: 1, hosts: 2 })
    const { platforms } = await site.center.as.viewer(apiRoutes.getTopology, {})
    expect(platforms).toMatchObject([
      {
        counts: expected,
        clusters: [{ name: 'cluster 1', counts: expected }],
        hosts: [
          { name: 'host h1', counts: { total: 1, unprotected: 1 } },
          { name: 'host h2', counts: { total: 1, poweredOn: 0 } },
        ],
        unplaced: { total: 2, templates: 1 },
      },
    ])
    const hostId = platforms[0]?.hosts[1]?.id ?? ''
    expect((await site.assets({ hostId })).map(({ ref }) => ref)).toEqual(['2'])
    const { pools } = await site.center.as.viewer(apiRoutes.listPools, {})
    expect(pools.find(({ pool }) => pool === 'virtual')).toMatchObject({
      counts: expected,
      platforms: [{ name: 'engine' }],
    })
  })

  it('again changes no row, and leaves labels and ids alone', async () => {
    site.fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await site.addPlatform()
    await site.listed(id)
    const before = await site.assets()
    await site.center.as.operator(apiRoutes.labelAssets, {
      body: { assetIds: before.map((asset) => asset.id), add: ['web', 'a'], remove: [] },
    })
    const versions = async () =>
      (await sql`select ref, xmin::text from asset order by ref`.execute(site.center.db)).rows
    const rows = await versions()
    await site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await site.listed(id, 2)
    expect(await versions()).toEqual(rows)
    const { syncs } = await site.getPlatform(id)
    expect(syncs[0]).toMatchObject({ cause: 'request', objects: 5, added: 0, changed: 0, gone: 0 })
    expect(await site.assets({ label: 'web' })).toMatchObject(
      before.map((asset) => ({ id: asset.id, labels: ['a', 'web'], firstSeenAt: asset.firstSeenAt })),
    )
  })
})

describe('what is gone', () => {
  it('is what a complete list no longer has; a list that failed deletes nothing', async () => {
    site.fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await site.addPlatform()
    await site.listed(id)
    site.fake.inventory = smallInventory([machine('1')])
    site.fake.failures.list.push(
      new AppError('platform_answer_invalid', { address: 'x', request: 'page 2', reason: 'truncated' }),
    )
    await site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await eventually('the failed list', async () =>
      (await site.getPlatform(id)).syncs.some(({ error }) => error?.code === 'platform_answer_invalid'),
    )
    // The list after the back-off is complete.
    await eventually('the next list', async () => (await site.assets()).length === 1)
    const { syncs } = await site.getPlatform(id)
    const failed = syncs.find(({ error }) => error !== null)
    expect(failed).toMatchObject({ added: 0, changed: 0, gone: 0 })
    expect(syncs.filter(({ gone }) => gone > 0)).toHaveLength(1)
    const [gone] = await site.assets({ isGone: 'true' })
    expect(gone).toMatchObject({ ref: '2' })
    expect(gone?.goneAt).not.toBeNull()
    expect(await site.placementsOf(gone?.id ?? '')).toEqual(['host h1 discovered closed'])
  })

  it('is only hinted by a change: the list decides, and several hints are one list', async () => {
    site.fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await site.addPlatform()
    await site.listed(id)
    await site.fake.yield([
      { type: 'gone', ref: '1' },
      { type: 'gone', ref: '2' },
    ])
    await site.listed(id, 2)
    expect(await site.assets()).toHaveLength(2)
    site.fake.inventory = smallInventory([machine('2')])
    await site.fake.yield([{ type: 'gone', ref: '1' }])
    await eventually('the tombstone', async () => (await site.assets()).length === 1)
    const { syncs } = await site.getPlatform(id)
    expect(syncs.map(({ cause }) => cause)).toEqual(['gone', 'gone', 'start'])
  })

  it('comes back as the same asset', async () => {
    site.fake.inventory = smallInventory([machine('1')])
    const id = await site.addPlatform()
    await site.listed(id)
    const [before] = await site.assets()
    site.fake.inventory = smallInventory([])
    await site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await eventually('the tombstone', async () => (await site.assets()).length === 0)
    await eventually('the end of that list', async () => (await site.getPlatform(id)).syncs.length === 2)
    await site.fake.yield([changeOf(machine('1', { hostRef: 'h2' }))])
    const [after] = await eventually('it again', async () => {
      const found = await site.assets()
      return found.length === 1 && found
    })
    expect(after?.id).toBe(before?.id)
    expect(await site.placementsOf(after?.id ?? '')).toEqual([
      'host h2 started open',
      'host h1 discovered closed',
    ])
  })
})
