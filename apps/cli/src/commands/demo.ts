import { randomUUID } from 'node:crypto'
import { type ApiClient, apiRoutes, isAppError, type PlatformCredentials } from '@ringwall/contracts'
import {
  createDataCentre,
  type DataCentre,
  startOvirtSimulator,
  startProxmoxSimulator,
} from '@ringwall/platforms'
import { sleep } from '@ringwall/runtime'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { fill } from '../text/text.ts'

const label = 'demo'
const tickMs = 1000
const sites = [
  { kind: 'ovirt', name: 'Demo oVirt', seed: 7, hosts: 24, machines: 600, username: 'admin@internal' },
  { kind: 'proxmox', name: 'Demo Proxmox VE', seed: 11, hosts: 16, machines: 400, username: 'demo@pve' },
] as const
type Site = (typeof sites)[number]
type Running = { dataCentre: DataCentre; address: string; fingerprint: string; close: () => Promise<void> }

async function start({ kind, seed, hosts, machines, username }: Site, password: string): Promise<Running> {
  const dataCentre = createDataCentre({ seed, hosts, machines, name: `demo-${kind}`, migrationsPerMinute: 6 })
  const options = { dataCentre, username, password }
  const { address, fingerprint, close } =
    kind === 'ovirt' ? await startOvirtSimulator(options) : await startProxmoxSimulator(options)
  return { dataCentre, address, fingerprint, close }
}

/** Takes away platforms that an earlier demonstration could not. */
async function removeDemos(client: ApiClient): Promise<void> {
  const { items } = await client(apiRoutes.listPlatforms, { query: { limit: 500 } })
  for (const { id, labels, name } of items)
    if (labels.includes(label) && sites.some((site) => site.name === name))
      await client(apiRoutes.removePlatform, { params: { id } }).catch((error: unknown) => {
        if (!isAppError(error, 'not_found')) throw error
      })
}

/**
 * `ringwall demo`: a data centre that does not exist, 40 hosts and 1,000 machines on two simulated platforms, shown by the center of this machine until a signal ends
 * it. Everything of it is called a demonstration and is taken away at the end.
 */
export async function demo(context: Context, signal: AbortSignal): Promise<number> {
  const client = context.client()
  const { demo: words } = context.text
  await removeDemos(client)
  const running: Running[] = []
  try {
    for (const site of sites) {
      const password = randomUUID()
      const simulator = await start(site, password)
      running.push(simulator)
      const credentials: PlatformCredentials = { kind: 'password', username: site.username, password }
      await client(apiRoutes.createPlatform, {
        body: {
          kind: site.kind,
          name: site.name,
          address: simulator.address,
          fingerprint: simulator.fingerprint,
          credentials,
          labels: [label],
          requestsPerSecond: 200,
        },
      })
      context.print(fill(words.added, { name: site.name, hosts: site.hosts, machines: site.machines }))
    }
    context.print(words.stop)
    while (!signal.aborted) {
      for (const { dataCentre } of running) dataCentre.tick(Date.now())
      await sleep(tickMs, signal).catch(() => undefined)
    }
  } finally {
    await removeDemos(client)
    for (const { close } of running) await close()
    context.print(words.removed)
  }
  return exitCodes.ok
}
