import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { AppError, type Asset, apiRoutes, type Platform } from '@ringwall/contracts'
import { type MachineRecord, swapUuid } from '@ringwall/platforms'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  createFakePlatform,
  type FakePlatform,
  goodFingerprint,
  host,
  machine,
  smallInventory,
} from '../testing/fake-connector.ts'
import { addAgent, eventually, startTestCenter, type TestCenter } from '../testing/test-center.ts'

const secret = 'a-very-secret-password'
const credentials = { kind: 'password' as const, username: 'reader@pve', password: secret }
const uuid = '564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6'

let center: TestCenter
let fake: FakePlatform
beforeEach(async () => {
  fake = createFakePlatform()
  center = await startTestCenter({ ovirt: fake.definition })
})
afterEach(async () => await center.close())

async function addPlatform(changes: Record<string, unknown> = {}): Promise<string> {
  const { platform } = await center.as.administrator(apiRoutes.createPlatform, {
    body: {
      kind: 'ovirt',
      name: 'engine',
      address: 'fake.example',
      fingerprint: goodFingerprint,
      credentials,
      ...changes,
    },
  })
  return platform.id
}
const getPlatform = (id: string) => center.as.viewer(apiRoutes.getPlatform, { params: { id } })
/** Once `lists` complete lists were taken in. */
async function listed(id: string, lists = 1): Promise<Platform> {
  return await eventually(`${lists} lists`, async () => {
    const { platform, syncs } = await getPlatform(id)
    return (
      platform.state === 'watching' && syncs.filter(({ error }) => error === null).length >= lists && platform
    )
  })
}
const assets = async (query: Record<string, string> = {}): Promise<Asset[]> =>
  (await center.as.viewer(apiRoutes.listAssets, { query })).items
const changeOf = (record: MachineRecord, at: Date | null = null) => ({
  type: 'machine' as const,
  machine: record,
  at,
})
async function placementsOf(id: string) {
  const { asset } = await center.as.viewer(apiRoutes.getAsset, { params: { id } })
  return asset.placements.map(
    ({ host: { name }, to, cause }) => `${name} ${cause} ${to === null ? 'open' : 'closed'}`,
  )
}
const historyOf = async (id: string) =>
  (await center.as.viewer(apiRoutes.listMachineEvents, { params: { id } })).items

describe('a first list', () => {
  it('gives counts on the platform, in the topology and in the pools', async () => {
    fake.inventory = smallInventory([
      machine('1'),
      machine('2', { hostRef: 'h2', power: 'off' }),
      machine('3', { hostRef: null, power: 'off' }),
      machine('t', { isTemplate: true, hostRef: null, power: 'off' }),
    ])
    const id = await addPlatform()
    const { counts } = await listed(id)
    const expected = { total: 4, templates: 1, protected: 0, unprotected: 3, poweredOn: 1 }
    expect(counts).toEqual({ ...expected, clusters: 1, hosts: 2 })
    const { platforms } = await center.as.viewer(apiRoutes.getTopology, {})
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
    expect((await assets({ hostId })).map(({ ref }) => ref)).toEqual(['2'])
    const { pools } = await center.as.viewer(apiRoutes.listPools, {})
    expect(pools.find(({ pool }) => pool === 'virtual')).toMatchObject({
      counts: expected,
      platforms: [{ name: 'engine' }],
    })
  })

  it('again changes no row, and leaves labels and ids alone', async () => {
    fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await addPlatform()
    await listed(id)
    const before = await assets()
    await center.as.operator(apiRoutes.labelAssets, {
      body: { assetIds: before.map((asset) => asset.id), add: ['web', 'a'], remove: [] },
    })
    const versions = async () =>
      (await sql`select ref, xmin::text from asset order by ref`.execute(center.db)).rows
    const rows = await versions()
    await center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await listed(id, 2)
    expect(await versions()).toEqual(rows)
    const { syncs } = await getPlatform(id)
    expect(syncs[0]).toMatchObject({ cause: 'request', objects: 5, added: 0, changed: 0, gone: 0 })
    expect(await assets({ label: 'web' })).toMatchObject(
      before.map((asset) => ({ id: asset.id, labels: ['a', 'web'], firstSeenAt: asset.firstSeenAt })),
    )
  })
})

describe('what is gone', () => {
  it('is what a complete list no longer has; a list that failed deletes nothing', async () => {
    fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await addPlatform()
    await listed(id)
    fake.inventory = smallInventory([machine('1')])
    fake.failures.list.push(
      new AppError('platform_answer_invalid', { address: 'x', request: 'page 2', reason: 'truncated' }),
    )
    await center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await eventually('the failed list', async () =>
      (await getPlatform(id)).syncs.some(({ error }) => error?.code === 'platform_answer_invalid'),
    )
    // The list after the back-off is complete.
    await eventually('the next list', async () => (await assets()).length === 1)
    const { syncs } = await getPlatform(id)
    const failed = syncs.find(({ error }) => error !== null)
    expect(failed).toMatchObject({ added: 0, changed: 0, gone: 0 })
    expect(syncs.filter(({ gone }) => gone > 0)).toHaveLength(1)
    const [gone] = await assets({ isGone: 'true' })
    expect(gone).toMatchObject({ ref: '2' })
    expect(gone?.goneAt).not.toBeNull()
    expect(await placementsOf(gone?.id ?? '')).toEqual(['host h1 discovered closed'])
  })

  it('is only hinted by a change: the list decides, and several hints are one list', async () => {
    fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await addPlatform()
    await listed(id)
    await fake.yield([
      { type: 'gone', ref: '1' },
      { type: 'gone', ref: '2' },
    ])
    await listed(id, 2)
    expect(await assets()).toHaveLength(2)
    fake.inventory = smallInventory([machine('2')])
    await fake.yield([{ type: 'gone', ref: '1' }])
    await eventually('the tombstone', async () => (await assets()).length === 1)
    const { syncs } = await getPlatform(id)
    expect(syncs.map(({ cause }) => cause)).toEqual(['gone', 'gone', 'start'])
  })

  it('comes back as the same asset', async () => {
    fake.inventory = smallInventory([machine('1')])
    const id = await addPlatform()
    await listed(id)
    const [before] = await assets()
    fake.inventory = smallInventory([])
    await center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await eventually('the tombstone', async () => (await assets()).length === 0)
    await eventually('the end of that list', async () => (await getPlatform(id)).syncs.length === 2)
    await fake.yield([changeOf(machine('1', { hostRef: 'h2' }))])
    const [after] = await eventually('it again', async () => {
      const found = await assets()
      return found.length === 1 && found
    })
    expect(after?.id).toBe(before?.id)
    expect(await placementsOf(after?.id ?? '')).toEqual(['host h2 started open', 'host h1 discovered closed'])
  })
})

describe('a live migration', () => {
  it('closes one placement, opens another, is one line of history and touches no desired state', async () => {
    fake.inventory = smallInventory([machine('1', { uuid })])
    const machineId = await addAgent(center, 'web-1', { uuid: swapUuid(uuid) })
    const id = await addPlatform()
    await listed(id)
    const joined = await eventually('the join', async () => (await assets())[0]?.machine ?? undefined)
    expect(joined).toMatchObject({ id: machineId, evidence: `uuid ${uuid} (other byte order)` })
    const desiredOf = async () =>
      (
        await sql`select desired_version, desired_hash, desired_payload from peer where id = ${machineId}`.execute(
          center.db,
        )
      ).rows
    await sql`update peer set desired_version = 7, desired_hash = 'h', desired_payload = 'p' where id = ${machineId}`.execute(
      center.db,
    )
    const [desired, policy] = [await desiredOf(), await center.as.viewer(apiRoutes.getMalwarePolicy, {})]
    const [asset] = await assets()

    await fake.yield([changeOf(machine('1', { uuid, migratingToRef: 'h2' }))])
    expect((await assets())[0]).toMatchObject({ host: { name: 'host h1' }, migratingTo: { name: 'host h2' } })
    expect(await placementsOf(asset?.id ?? '')).toEqual(['host h1 discovered open'])
    const at = new Date(Date.now() - 300)
    await fake.yield([changeOf(machine('1', { uuid, hostRef: 'h2' }), at)])
    // The same again, as platforms tell it, and the list after it.
    await fake.yield([changeOf(machine('1', { uuid, hostRef: 'h2' }), at)])
    fake.inventory = smallInventory([machine('1', { uuid, hostRef: 'h2' })])
    await center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await listed(id, 2)

    expect(await placementsOf(asset?.id ?? '')).toEqual([
      'host h2 migrated open',
      'host h1 discovered closed',
    ])
    const { placements } = (await center.as.viewer(apiRoutes.getAsset, { params: { id: asset?.id ?? '' } }))
      .asset
    expect(placements[0]?.from).toBe(at.toISOString())
    const lines = (await historyOf(machineId)).filter(({ type }) => type === 'machine.migrated')
    expect(lines.map(({ body }) => body)).toMatchObject([
      { from: 'host h1', to: 'host h2', cause: 'migrated', platform: 'engine' },
    ])
    expect(await desiredOf()).toEqual(desired)
    expect(await center.as.viewer(apiRoutes.getMalwarePolicy, {})).toEqual(policy)
    const { platform } = await getPlatform(id)
    expect(platform.lagMs).toBeGreaterThanOrEqual(300)
    const { asset: ofMachine } = (await center.as.viewer(apiRoutes.getMachine, { params: { id: machineId } }))
      .machine
    expect(ofMachine).toMatchObject({
      id: asset?.id,
      platform: { name: 'engine' },
      host: { name: 'host h2' },
    })
    const placement = (await center.core.machines.placementsOf(center.db, [machineId])).get(machineId)
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
    fake.inventory = smallInventory([machine('1'), machine('2')])
    const id = await addPlatform()
    await listed(id)
    fake.inventory = smallInventory([
      machine('1', { hostRef: 'h2' }),
      machine('1', { hostRef: 'h1' }),
      machine('2', { hostRef: null }),
    ])
    await center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await listed(id, 2)
    const [first, second] = await assets()
    expect(first).toMatchObject({ host: { name: 'host h1' }, migratingTo: { name: 'host h2' } })
    expect(second).toMatchObject({ host: { name: 'host h1' }, migratingTo: null })
    for (const asset of [first, second])
      expect(await placementsOf(asset?.id ?? '')).toEqual(['host h1 discovered open'])
  })

  it('takes the last of several records, and asks for a list where one names a host that is not known', async () => {
    fake.inventory = smallInventory([machine('1')])
    const id = await addPlatform()
    await listed(id)
    await fake.yield([changeOf(machine('1', { hostRef: 'h2' })), changeOf(machine('1', { hostRef: 'h1' }))])
    expect(await placementsOf((await assets())[0]?.id ?? '')).toEqual(['host h1 discovered open'])
    fake.inventory = {
      ...fake.inventory,
      hosts: [...fake.inventory.hosts, host('h3')],
      machines: [machine('1', { hostRef: 'h3' })],
    }
    await fake.yield([changeOf(machine('1', { hostRef: 'h3' }))])
    await listed(id, 2)
    expect((await assets())[0]).toMatchObject({ host: { name: 'host h3' } })
    expect(await placementsOf((await assets())[0]?.id ?? '')).toEqual([
      'host h3 migrated open',
      'host h1 discovered closed',
    ])
  })
})

describe('identities', () => {
  it('shared by two machines are one issue and one alarm, which end with it', async () => {
    const macs = ['52:54:00:00:00:01']
    fake.inventory = smallInventory([machine('1', { uuid, macs }), machine('2', { uuid, macs })])
    const id = await addPlatform()
    await listed(id)
    const issues = async (state: 'open' | 'dismissed' | 'resolved') =>
      (await center.as.viewer(apiRoutes.listInventoryIssues, { query: { state } })).items
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
    expect(await assets({ hasIssue: 'true' })).toHaveLength(2)
    const alarms = async (state: 'open' | 'closed') =>
      (await center.as.viewer(apiRoutes.listAlarms, { query: { kind: 'inventory.duplicate', state } })).items
    expect(await alarms('open')).toMatchObject([{ params: { value: uuid, count: 2 }, count: 1 }])
    await center.as.operator(apiRoutes.dismissInventoryIssue, { params: { id: issue?.id ?? '' } })
    expect(await alarms('open')).toEqual([])
    fake.inventory = smallInventory([machine('1', { uuid, macs })])
    await center.as.administrator(apiRoutes.syncPlatform, { params: { id } })
    await eventually('the end of the issue', async () => (await issues('resolved')).length === 1)
  })

  it('are joined to a host too, and a join ends when facts speak against it', async () => {
    const hostUuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
    fake.inventory = { ...smallInventory([machine('1', { uuid })]), hosts: [host('h1', { uuid: hostUuid })] }
    const onHost = await addAgent(center, 'esx-1', { uuid: hostUuid })
    const inGuest = await addAgent(center, 'web-1', { uuid })
    await addPlatform()
    await eventually('the host join', async () => {
      const { platforms } = await center.as.viewer(apiRoutes.getTopology, {})
      return platforms[0]?.hosts[0]?.machineId === onHost
    })
    await eventually('the guest join', async () => (await assets({ isProtected: 'true' })).length === 1)
    const facts = (await center.as.viewer(apiRoutes.getMachine, { params: { id: inGuest } })).machine.facts
    const dmi = { vendor: 'v', product: 'p', uuid: '11111111-2222-4333-8444-555555555555' }
    await center.core.machines.updateFacts(center.db, inGuest, { ...facts, dmi }, '1')
    await eventually('the end of the join', async () => (await assets({ isProtected: 'true' })).length === 0)
    expect(
      (await center.as.viewer(apiRoutes.getMachine, { params: { id: inGuest } })).machine.asset,
    ).toBeNull()
  })
})

describe('a connection', () => {
  it('is never told with its secrets: not in answers, logs, the audit log or in clear in the database', async () => {
    fake.failures.check.push(
      new AppError('platform_login_failed', { address: 'fake.example', account: credentials.username }),
    )
    const id = await addPlatform()
    await listed(id)
    expect(fake.opened.at(-1)?.credentials).toEqual(credentials)
    const answers = JSON.stringify([
      await getPlatform(id),
      await center.as.viewer(apiRoutes.listPlatforms, {}),
    ])
    expect(answers).toContain(credentials.username)
    expect(answers).not.toContain(secret)
    expect(center.logged()).toContain('a platform failed')
    expect(center.logged()).not.toContain(secret)
    const audit = JSON.stringify(await center.as.administrator(apiRoutes.listAudit, {}))
    expect(audit).toContain('platform.created')
    expect(audit).not.toContain(secret)
    const { rows } = await sql<{
      text: string
    }>`select encode(sealed_credentials, 'escape') as text from platform`.execute(center.db)
    expect(rows[0]?.text).not.toContain(secret)
    const keyFile = join(center.dir, 'platform-credentials.key')
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect(Buffer.from(readFileSync(keyFile, 'utf8'), 'base64')).toHaveLength(32)
  })

  it('with another fingerprint fails in sight, and works when the right one is accepted', async () => {
    const id = await addPlatform({ fingerprint: `sha256:${'b'.repeat(64)}` })
    await eventually('the failure', async () => (await getPlatform(id)).platform.state === 'failed')
    expect((await getPlatform(id)).platform.error).toMatchObject({ code: 'certificate_untrusted' })
    const { fingerprint } = await center.as.administrator(apiRoutes.probePlatform, {
      body: { kind: 'ovirt', address: 'fake.example' },
    })
    await center.as.administrator(apiRoutes.updatePlatform, { params: { id }, body: { fingerprint } })
    expect((await listed(id)).error).toBeNull()
  })

  it('that fails for long is an alarm, until it works', async () => {
    const id = await addPlatform({ fingerprint: `sha256:${'b'.repeat(64)}` })
    await eventually('the failure', async () => (await getPlatform(id)).platform.state === 'failed')
    const alarms = async (state: 'open' | 'closed') =>
      (await center.as.viewer(apiRoutes.listAlarms, { query: { kind: 'platform.unreachable', state } })).items
    expect(await alarms('open')).toEqual([])
    await sql`update platform set error_at = now() - interval '6 minutes'`.execute(center.db)
    const [alarm] = await eventually('the alarm', async () => {
      const open = await alarms('open')
      return open.length > 0 && open
    })
    expect(alarm?.params).toMatchObject({ name: 'engine', error: 'certificate_untrusted' })
    await center.as.administrator(apiRoutes.updatePlatform, {
      params: { id },
      body: { fingerprint: goodFingerprint },
    })
    await listed(id)
    expect(await alarms('closed')).toHaveLength(1)
  })

  it('keeps its credentials from an address whose fingerprint nobody accepted', async () => {
    const id = await addPlatform()
    const address = 'fake.example'
    fake.definition.validateAddress = () => undefined
    const move = (body: { address: string; fingerprint?: string }) =>
      center.as.administrator(apiRoutes.updatePlatform, { params: { id }, body })
    await expect(move({ address: 'elsewhere.example' })).rejects.toMatchObject({
      code: 'platform_fingerprint_missing',
    })
    expect((await getPlatform(id)).platform.address).toBe(address)
    const moved = await move({ address: 'elsewhere.example', fingerprint: goodFingerprint })
    expect(moved.platform.address).toBe('elsewhere.example')
    await eventually('the new address', async () => fake.opened.at(-1)?.address === 'elsewhere.example')
    expect(fake.opened.at(-1)?.credentials).toEqual(credentials)
  })

  it('is refused without a fingerprint, with other credentials, an address or a name that cannot be', async () => {
    await expect(addPlatform({ fingerprint: null })).rejects.toMatchObject({
      code: 'platform_fingerprint_missing',
    })
    await expect(addPlatform({ credentials: { kind: 'none' } })).rejects.toMatchObject({
      code: 'platform_credentials_kind',
    })
    await expect(addPlatform({ address: 'else' })).rejects.toMatchObject({ code: 'platform_address_invalid' })
    await expect(addPlatform({ kind: 'hyperv' })).rejects.toMatchObject({ code: 'platform_kind_unavailable' })
    await addPlatform()
    await expect(addPlatform({ name: 'ENGINE' })).rejects.toMatchObject({ code: 'conflict' })
  })

  it('is tested without keeping anything', async () => {
    fake.inventory = smallInventory([machine('1'), machine('t', { isTemplate: true })])
    const body = {
      kind: 'ovirt' as const,
      address: 'fake.example',
      fingerprint: goodFingerprint,
      credentials,
    }
    expect(await center.as.administrator(apiRoutes.testPlatform, { body })).toEqual({
      identity: { product: 'Fake', version: '1', instanceId: 'fake-1', warnings: [] },
      preview: {
        clusters: 1,
        hosts: 2,
        machines: 1,
        templates: 1,
        hostNames: ['host h1', 'host h2'],
        machineNames: ['vm 1'],
      },
    })
    expect(fake.calls.closed).toBe(1)
    expect((await center.as.viewer(apiRoutes.listPlatforms, {})).total).toBe(0)
  })

  it('rests while disabled, and is gone with all it knew when removed', async () => {
    fake.inventory = smallInventory([machine('1')])
    const id = await addPlatform()
    await listed(id)
    const { platform } = await center.as.administrator(apiRoutes.updatePlatform, {
      params: { id },
      body: { isEnabled: false },
    })
    expect(platform).toMatchObject({ state: 'disabled', isEnabled: false })
    await expect(center.as.administrator(apiRoutes.syncPlatform, { params: { id } })).rejects.toMatchObject({
      code: 'state_conflict',
    })
    expect(await assets()).toHaveLength(1)
    await center.as.administrator(apiRoutes.removePlatform, { params: { id } })
    expect(await assets()).toEqual([])
    await expect(getPlatform(id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('is for administrators; operators label; viewers look', async () => {
    const body = { kind: 'ovirt' as const, address: 'fake.example' }
    for (const role of ['viewer', 'operator'] as const)
      await expect(center.as[role](apiRoutes.probePlatform, { body })).rejects.toMatchObject({
        code: 'forbidden',
      })
    await expect(
      center.as.viewer(apiRoutes.labelAssets, { body: { assetIds: [uuid], add: ['x'] } }),
    ).rejects.toMatchObject({ code: 'forbidden' })
    await expect(
      center.as.operator(apiRoutes.createInstallCommands, { body: { assetIds: [uuid] } }),
    ).rejects.toMatchObject({ code: 'forbidden' })
    const { kinds } = await center.as.viewer(apiRoutes.listPlatformKinds, {})
    expect(kinds.filter(({ isAvailable }) => isAvailable).map(({ kind }) => kind)).toEqual([
      'ovirt',
      'import',
    ])
  })
})
