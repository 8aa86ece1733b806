import { type Asset, apiRoutes, type Platform, type PlatformSync } from '@ringwall/contracts'
import type { MachineRecord } from '@ringwall/platforms'
import { createFakePlatform, type FakePlatform, goodFingerprint } from './fake-connector.ts'
import { eventually, startTestCenter, type TestCenter } from './test-center.ts'

export const credentials = {
  kind: 'password' as const,
  username: 'reader@pve',
  password: 'a-very-secret-password',
}

/** A center with one fake platform that it may be told of. */
export type PlatformSite = {
  center: TestCenter
  fake: FakePlatform
  /** Adds the platform, with these changes to a body that is right; answers with its id. */
  addPlatform: (changes?: Record<string, unknown>) => Promise<string>
  getPlatform: (id: string) => Promise<{ platform: Platform; syncs: PlatformSync[] }>
  /** Once `lists` complete lists were taken in. */
  listed: (id: string, lists?: number) => Promise<Platform>
  assets: (query?: Record<string, string>) => Promise<Asset[]>
  /** `host cause open|closed` of each placement of an asset, newest first. */
  placementsOf: (assetId: string) => Promise<string[]>
  close: () => Promise<void>
}

export async function startPlatformSite(): Promise<PlatformSite> {
  const fake = createFakePlatform()
  const center = await startTestCenter({ ovirt: fake.definition })
  const getPlatform = (id: string) => center.as.viewer(apiRoutes.getPlatform, { params: { id } })
  return {
    center,
    fake,
    getPlatform,
    addPlatform: async (changes = {}) => {
      const right = { kind: 'ovirt' as const, name: 'engine', address: 'fake.example' }
      const { platform } = await center.as.administrator(apiRoutes.createPlatform, {
        body: { ...right, fingerprint: goodFingerprint, credentials, ...changes },
      })
      return platform.id
    },
    listed: async (id, lists = 1) =>
      await eventually(`${lists} lists`, async () => {
        const { platform, syncs } = await getPlatform(id)
        const complete = syncs.filter(({ error }) => error === null)
        return platform.state === 'watching' && complete.length >= lists && platform
      }),
    assets: async (query = {}) => (await center.as.viewer(apiRoutes.listAssets, { query })).items,
    placementsOf: async (assetId) => {
      const { asset } = await center.as.viewer(apiRoutes.getAsset, { params: { id: assetId } })
      return asset.placements.map(
        ({ host: { name }, to, cause }) => `${name} ${cause} ${to === null ? 'open' : 'closed'}`,
      )
    },
    close: center.close,
  }
}

/** A record as a connector yields it. */
export function changeOf(machine: MachineRecord, at: Date | null = null) {
  return { type: 'machine' as const, machine, at }
}
