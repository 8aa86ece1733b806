/**
 * Measures how a center takes in a platform of 10,000 machines, and prints the figures as a line of JSON; bench/inventory.ts runs it. The platform is a connector in the same process that
 * answers at once, so that what is measured is the center: database, history, joins and answers. Its records count in the memory, as a real connector's would.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Change, ConnectorDefinition, Inventory, MachineRecord } from '@ringwall/platforms'
import { createDatabase, startManagedCluster } from '@ringwall/postgres'
import { derivedUuid, silentLogger } from '@ringwall/runtime'
import { type Kysely, sql } from 'kysely'
import { buildCenter } from '../../../app/build-center.ts'
import { slices } from '../../../app/slices.ts'
import { readCenterConfig } from '../../../config.ts'
import { openPki } from '../../../core/pki.ts'
import { createInventory } from '../inventory.ts'
import { createCredentialSealer } from '../platforms/credentials.ts'

const machineCount = 10_000
const hostCount = 400
const agentCount = 8000
const migrations = 200
const say = (text: string) => process.stderr.write(`bench: ${text}\n`)
const mib = (bytes: number) => (bytes / 1024 ** 2).toFixed(0)

function machineAt(index: number, hostRef: string): MachineRecord {
  const hex = index.toString(16).padStart(6, '0')
  return {
    ref: `vm-${index}`,
    name: `server-${String(index).padStart(5, '0')}.example.internal`,
    isTemplate: index % 100 === 0,
    hostRef,
    migratingToRef: null,
    clusterRef: `c-${index % 20}`,
    power: 'on',
    uuid: derivedUuid('machine', String(index)),
    macs: [`52:54:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}`],
    addresses: [`10.${index >> 14}.${(index >> 7) & 127}.${index & 127}`],
    guestOs: index % 3 === 0 ? 'Microsoft Windows Server 2022 (64-bit)' : 'Debian GNU/Linux 12 (64-bit)',
    datastores: [`datastore-${index % 40}`],
    parent:
      index % 5 === 0
        ? null
        : { ref: `vm-${index - (index % 100)}`, name: null, kind: 'linked', evidence: 'disk chain' },
  }
}

const inventory = (): Inventory => ({
  clusters: Array.from({ length: 20 }, (_, index) => ({ ref: `c-${index}`, name: `cluster ${index}` })),
  hosts: Array.from({ length: hostCount }, (_, index) => ({
    ref: `h-${index}`,
    name: `host-${index}.example.internal`,
    clusterRef: `c-${index % 20}`,
    address: `10.250.${index >> 8}.${index & 255}`,
    uuid: derivedUuid('host', String(index)),
    state: 'up',
    version: '8.0',
  })),
  machines: Array.from({ length: machineCount }, (_, index) => machineAt(index, `h-${index % hostCount}`)),
})

const queue: Change[][] = []
let wake = () => {}
const synthetic: ConnectorDefinition = {
  kind: 'vsphere',
  capabilities: {
    changes: 'push',
    lineage: 'native',
    templates: true,
    guestAddresses: true,
    credentialKinds: ['none'],
    verified: 'documented-interface',
    addressExample: 'x',
  },
  validateAddress: () => undefined,
  fingerprint: async () => null,
  open: () => ({
    check: async () => ({ product: 'synthetic', version: '1', instanceId: null, warnings: [] }),
    list: async () => inventory(),
    watch: async function* (signal) {
      signal.addEventListener('abort', () => wake())
      while (!signal.aborted) {
        const next = queue.shift()
        if (next !== undefined) yield next
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    },
    close: async () => undefined,
  }),
}

async function addAgents(db: Kysely<unknown>): Promise<void> {
  const facts = (index: number) =>
    JSON.stringify({
      addresses: [
        { interface: 'eth0', address: machineAt(index, '').addresses[0], mac: machineAt(index, '').macs[0] },
      ],
      dmi: { vendor: '', product: '', uuid: machineAt(index, '').uuid },
    })
  const indexes = Array.from({ length: agentCount }, (_, index) => index)
  const ids = indexes.map((index) => derivedUuid('agent', String(index)))
  await sql`insert into peer (id, kind, name, cert_serial, cert_not_after, cert_fingerprint)
    select id, 'agent', 'a', '', now(), '' from unnest(${ids}::uuid[]) as id`.execute(db)
  await sql`insert into machine (id, hostname, os_family, os_name, pool, facts, agent_version)
    select id, 'a', 'linux', 'Debian', 'virtual', facts::jsonb, '1' from unnest(${ids}::uuid[], ${indexes.map(facts)}::text[]) as r (id, facts)`.execute(
    db,
  )
}

async function until(look: () => Promise<boolean>): Promise<void> {
  while (!(await look())) await sleep(5)
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const dir = mkdtempSync(join(tmpdir(), 'ringwall-bench-'))
// The database has an account of its own.
chmodSync(dir, 0o711)
const stopping = new AbortController()
const cluster = await startManagedCluster({
  dataDir: join(dir, 'postgres'),
  osUser: 'nobody',
  logger: silentLogger,
  signal: stopping.signal,
})
const db = createDatabase<unknown>({ connection: cluster.connection, poolSize: 12 })
const own = createInventory({ connectors: { vsphere: synthetic } })
const center = await buildCenter({
  config: {
    ...readCenterConfig({
      RINGWALL_HOME: dir,
      RINGWALL_PORT: '0',
      RINGWALL_GATEWAY_PORT: '0',
      RINGWALL_BIND: '127.0.0.1',
    }),
    dir: join(dir, 'center'),
  },
  db,
  databaseFacts: { version: '', isManaged: true, isEvaluation: false },
  pki: await openPki({ dir: join(dir, 'pki'), hostNames: ['localhost'] }),
  version: '0.0.0',
  logger: silentLogger,
  slices: slices.map((slice) => (slice.name === own.name ? own : slice)),
})
let peakBytes = 0
const sampler = setInterval(() => {
  peakBytes = Math.max(peakBytes, process.memoryUsage().rss)
}, 20)
const handlers = own.create(center.core).handlers
try {
  await addAgents(db)
  const id = derivedUuid('platform')
  await sql`insert into platform (id, kind, name, address, credential_kind, sealed_credentials, is_enabled, resync_minutes, requests_per_second, labels, state)
    values (${id}, 'vsphere', 'synthetic', 'x', 'none', ${createCredentialSealer(center.core.config.dir).seal(id, { kind: 'none' })}, true, 60, 100, '{}', 'connecting')`.execute(
    db,
  )
  const count = async (text: ReturnType<typeof sql>) => ((await text.execute(db)).rows[0] as { n: number }).n
  const before = process.memoryUsage().rss
  const startMs = performance.now()
  await center.listen()
  await until(
    async () => (await count(sql`select count(*) as n from platform where last_list_at is not null`)) === 1,
  )
  const syncMs = performance.now() - startMs
  say(`first sync: ${(syncMs / 1000).toFixed(1)} s`)
  const protectable = Array.from({ length: agentCount }, (_, index) => index).filter(
    (index) => index % 100 !== 0,
  ).length
  await until(
    async () =>
      (await count(sql`select count(*) as n from asset where machine_id is not null`)) === protectable,
  )
  const joinMs = performance.now() - startMs
  say(
    `all ${protectable} agents joined: ${(joinMs / 1000).toFixed(1)} s; peak ${mib(peakBytes)} MiB, before ${mib(before)} MiB`,
  )
  await sleep(1000)

  const latencies: number[] = []
  for (let round = 0; round < migrations; round += 1) {
    const index = round * 37 + 1
    const yieldedMs = performance.now()
    queue.push([
      { type: 'machine', machine: machineAt(index, `h-${(index + 1) % hostCount}`), at: new Date() },
    ])
    wake()
    await until(
      async () =>
        (await count(
          sql`select count(*) as n from placement p join asset a on a.id = p.asset_id where a.ref = ${`vm-${index}`} and p.to_at is null and p.cause = 'migrated'`,
        )) === 1,
    )
    latencies.push(performance.now() - yieldedMs)
  }
  const worst = Math.max(...latencies)
  say(`migration to placement row: median ${median(latencies).toFixed(0)} ms, worst ${worst.toFixed(0)} ms`)

  const timed = async (work: () => Promise<unknown>) => {
    const times: number[] = []
    let sizeBytes = 0
    for (let round = 0; round < 10; round += 1) {
      const from = performance.now()
      sizeBytes = JSON.stringify(await work()).length
      times.push(performance.now() - from)
    }
    return { ms: median(times), sizeBytes }
  }
  const context = undefined as never
  const topology = await timed(async () => await handlers.getTopology?.({} as never, context))
  const page = await timed(
    async () =>
      await handlers.listAssets?.(
        { query: { limit: 50, sort: 'name', hostId: undefined } } as never,
        context,
      ),
  )
  const search = await timed(
    async () =>
      await handlers.listAssets?.(
        { query: { limit: 50, sort: 'name', search: 'server-0777' } } as never,
        context,
      ),
  )
  say(
    `topology ${topology.ms.toFixed(0)} ms, ${(topology.sizeBytes / 1024).toFixed(0)} KiB; page of assets ${page.ms.toFixed(0)} ms; search ${search.ms.toFixed(0)} ms`,
  )
  const figures = {
    machines: machineCount,
    hosts: hostCount,
    agents: protectable,
    migrations,
    syncMs,
    joinMs,
    beforeBytes: before,
    peakBytes,
    migrationMs: { median: median(latencies), worst },
    topology,
    page,
    search,
  }
  process.stdout.write(`${JSON.stringify(figures)}\n`)
} finally {
  clearInterval(sampler)
  await center.close()
  await db.destroy()
  await cluster.stop()
  rmSync(dir, { recursive: true, force: true })
}
process.exit(0)
