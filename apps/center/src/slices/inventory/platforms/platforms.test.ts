import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { AppError, apiRoutes } from '@ringwall/contracts'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { goodFingerprint, machine, smallInventory } from '../testing/fake-connector.ts'
import { credentials, type PlatformSite, startPlatformSite } from '../testing/platform-site.ts'
import { eventually } from '../testing/test-center.ts'

const secret = credentials.password
const assetId = '564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6'

let site: PlatformSite
beforeEach(async () => {
  site = await startPlatformSite()
})
afterEach(async () => await site.close())

describe('a connection', () => {
  it('is never told with its secrets: not in answers, logs, the audit log or in clear in the database', async () => {
    site.fake.failures.check.push(
      new AppError('platform_login_failed', { address: 'fake.example', account: credentials.username }),
    )
    const id = await site.addPlatform()
    await site.listed(id)
    expect(site.fake.opened.at(-1)?.credentials).toEqual(credentials)
    const answers = JSON.stringify([
      await site.getPlatform(id),
      await site.center.as.viewer(apiRoutes.listPlatforms, {}),
    ])
    expect(answers).toContain(credentials.username)
    expect(answers).not.toContain(secret)
    expect(site.center.logged()).toContain('a platform failed')
    expect(site.center.logged()).not.toContain(secret)
    const audit = JSON.stringify(await site.center.as.administrator(apiRoutes.listAudit, {}))
    expect(audit).toContain('platform.created')
    expect(audit).not.toContain(secret)
    const { rows } = await sql<{
      text: string
    }>`select encode(sealed_credentials, 'escape') as text from platform`.execute(site.center.db)
    expect(rows[0]?.text).not.toContain(secret)
    const keyFile = join(site.center.dir, 'platform-credentials.key')
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect(Buffer.from(readFileSync(keyFile, 'utf8'), 'base64')).toHaveLength(32)
  })

  it('with another fingerprint fails in sight, and works when the right one is accepted', async () => {
    const id = await site.addPlatform({ fingerprint: `sha256:${'b'.repeat(64)}` })
    await eventually('the failure', async () => (await site.getPlatform(id)).platform.state === 'failed')
    expect((await site.getPlatform(id)).platform.error).toMatchObject({ code: 'certificate_untrusted' })
    const { fingerprint } = await site.center.as.administrator(apiRoutes.probePlatform, {
      body: { kind: 'ovirt', address: 'fake.example' },
    })
    await site.center.as.administrator(apiRoutes.updatePlatform, { params: { id }, body: { fingerprint } })
    expect((await site.listed(id)).error).toBeNull()
  })

  it('that fails for long is an alarm, until it works', async () => {
    const id = await site.addPlatform({ fingerprint: `sha256:${'b'.repeat(64)}` })
    await eventually('the failure', async () => (await site.getPlatform(id)).platform.state === 'failed')
    const alarms = async (state: 'open' | 'closed') =>
      (await site.center.as.viewer(apiRoutes.listAlarms, { query: { kind: 'platform.unreachable', state } }))
        .items
    expect(await alarms('open')).toEqual([])
    await sql`update platform set error_at = now() - interval '6 minutes'`.execute(site.center.db)
    const [alarm] = await eventually('the alarm', async () => {
      const open = await alarms('open')
      return open.length > 0 && open
    })
    expect(alarm?.params).toMatchObject({ name: 'engine', error: 'certificate_untrusted' })
    await site.center.as.administrator(apiRoutes.updatePlatform, {
      params: { id },
      body: { fingerprint: goodFingerprint },
    })
    await site.listed(id)
    expect(await alarms('closed')).toHaveLength(1)
  })

  it('keeps its credentials from an address whose fingerprint nobody accepted', async () => {
    const id = await site.addPlatform()
    const address = 'fake.example'
    site.fake.definition.validateAddress = () => undefined
    const move = (body: { address: string; fingerprint?: string }) =>
      site.center.as.administrator(apiRoutes.updatePlatform, { params: { id }, body })
    await expect(move({ address: 'elsewhere.example' })).rejects.toMatchObject({
      code: 'platform_fingerprint_missing',
    })
    expect((await site.getPlatform(id)).platform.address).toBe(address)
    const moved = await move({ address: 'elsewhere.example', fingerprint: goodFingerprint })
    expect(moved.platform.address).toBe('elsewhere.example')
    await eventually('the new address', async () => site.fake.opened.at(-1)?.address === 'elsewhere.example')
    expect(site.fake.opened.at(-1)?.credentials).toEqual(credentials)
  })

  it('is refused without a fingerprint, with other credentials, an address or a name that cannot be', async () => {
    await expect(site.addPlatform({ fingerprint: null })).rejects.toMatchObject({
      code: 'platform_fingerprint_missing',
    })
    await expect(site.addPlatform({ credentials: { kind: 'none' } })).rejects.toMatchObject({
      code: 'platform_credentials_kind',
    })
    await expect(site.addPlatform({ address: 'else' })).rejects.toMatchObject({
      code: 'platform_address_invalid',
    })
    await expect(site.addPlatform({ kind: 'hyperv' })).rejects.toMatchObject({
      code: 'platform_kind_unavailable',
    })
    await site.addPlatform()
    await expect(site.addPlatform({ name: 'ENGINE' })).rejects.toMatchObject({ code: 'conflict' })
  })

  it('is tested without keeping anything', async () => {
    site.fake.inventory = smallInventory([machine('1'), machine('t', { isTemplate: true })])
    const body = {
      kind: 'ovirt' as const,
      address: 'fake.example',
      fingerprint: goodFingerprint,
      credentials,
    }
    expect(await site.center.as.administrator(apiRoutes.testPlatform, { body })).toEqual({
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
    expect(site.fake.calls.closed).toBe(1)
    expect((await site.center.as.viewer(apiRoutes.listPlatforms, {})).total).toBe(0)
  })

  it('rests while disabled, and is gone with all it knew when removed', async () => {
    site.fake.inventory = smallInventory([machine('1')])
    const id = await site.addPlatform()
    await site.listed(id)
    const { platform } = await site.center.as.administrator(apiRoutes.updatePlatform, {
      params: { id },
      body: { isEnabled: false },
    })
    expect(platform).toMatchObject({ state: 'disabled', isEnabled: false })
    await expect(
      site.center.as.administrator(apiRoutes.syncPlatform, { params: { id } }),
    ).rejects.toMatchObject({
      code: 'state_conflict',
    })
    expect(await site.assets()).toHaveLength(1)
    await site.center.as.administrator(apiRoutes.removePlatform, { params: { id } })
    expect(await site.assets()).toEqual([])
    await expect(site.getPlatform(id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('is for administrators; operators label; viewers look', async () => {
    const body = { kind: 'ovirt' as const, address: 'fake.example' }
    for (const role of ['viewer', 'operator'] as const)
      await expect(site.center.as[role](apiRoutes.probePlatform, { body })).rejects.toMatchObject({
        code: 'forbidden',
      })
    await expect(
      site.center.as.viewer(apiRoutes.labelAssets, { body: { assetIds: [assetId], add: ['x'] } }),
    ).rejects.toMatchObject({ code: 'forbidden' })
    await expect(
      site.center.as.operator(apiRoutes.createInstallCommands, { body: { assetIds: [assetId] } }),
    ).rejects.toMatchObject({ code: 'forbidden' })
    const { kinds } = await site.center.as.viewer(apiRoutes.listPlatformKinds, {})
    expect(kinds.filter(({ isAvailable }) => isAvailable).map(({ kind }) => kind)).toEqual([
      'ovirt',
      'import',
    ])
  })
})
