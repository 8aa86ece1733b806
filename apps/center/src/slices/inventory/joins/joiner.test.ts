import { apiRoutes } from '@ringwall/contracts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { host, machine, smallInventory } from '../testing/fake-connector.ts'
import { type PlatformSite, startPlatformSite } from '../testing/platform-site.ts'
import { addAgent, eventually } from '../testing/test-center.ts'

const uuid = '564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6'

let site: PlatformSite
beforeEach(async () => {
  site = await startPlatformSite()
})
afterEach(async () => await site.close())

describe('identities', () => {
  it('shared by two machines are one issue and one alarm, which end with it', async () => {
    const macs = ['52:54:00:00:00:01']
    site.fake.inventory = smallInventory([machine('1', { uuid, macs }), machine('2', { uuid, macs })])
    const id = await site.addPlatform()
    await site.listed(id)
    const issues = async (state: 'open' | 'dismissed' | 'resolved') =>
      (await site.center.as.viewer(apiRoutes.listInventoryIssues, { query: { state } })).items
    const [issue] = await eventually('the issue', async () => {
      const open = await issues('open')
      return open.length > 0 && open
    })
    expect(await issues('open')).toHaveLength(1)
    expect(issue).toMatchObject({
      kind: 'duplicate_uuid',
      value: uuid,
      assets: [{ name: 'vm 1' }, { name: 'vm 2' }],
    })
    expect(await site.assets({ hasIssue: 'true' })).toHaveLength(2)
    const alarms = async (state: 'open' | 'closed') =>
      (await site.center.as.viewer(apiRoutes.listAlarms, { query: { kind: 'inventory.duplicate', state } }))
        .items
    expect(await alarms('open')).toMatchObject([{ params: { value: uuid, count: 2 }, count: 1 }])
    await site.center.as.operator(apiRoutes.dismissInventoryIssue, { params: { id: issue?.id ?? '' } })
    expect(await alarms('open')).toEqual([])
    site.fake.inventory = smallInventory([machine('1', { uuid, macs })])
    await site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await eventually('the end of the issue', async () => (await issues('resolved')).length === 1)
  })

  it('are joined to a host too, and a join ends when facts speak against it', async () => {
    const hostUuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
    site.fake.inventory = {
      ...smallInventory([machine('1', { uuid })]),
      hosts: [host('h1', { uuid: hostUuid })],
    }
    const onHost = await addAgent(site.center, 'esx-1', { uuid: hostUuid })
    const inGuest = await addAgent(site.center, 'web-1', { uuid })
    await site.addPlatform()
    await eventually('the host join', async () => {
      const { platforms } = await site.center.as.viewer(apiRoutes.getTopology, {})
      return platforms[0]?.hosts[0]?.machineId === onHost
    })
    await eventually('the guest join', async () => (await site.assets({ isProtected: 'true' })).length === 1)
    const facts = (await site.center.as.viewer(apiRoutes.getMachine, { params: { id: inGuest } })).machine
      .facts
    const dmi = { vendor: 'v', product: 'p', uuid: '11111111-2222-4333-8444-555555555555' }
    await site.center.core.machines.updateFacts(site.center.db, inGuest, { ...facts, dmi }, '1')
    await eventually(
      'the end of the join',
      async () => (await site.assets({ isProtected: 'true' })).length === 0,
    )
    expect(
      (await site.center.as.viewer(apiRoutes.getMachine, { params: { id: inGuest } })).machine.asset,
    ).toBeNull()
  })
})
