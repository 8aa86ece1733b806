/**
 * Measures the index of who has which content: ./ringwall bench holders. 10 million files on 1,000 machines, in
 * PostgreSQL.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sharingLimits } from '@ringwall/contracts'
import { createDatabase, startManagedCluster } from '@ringwall/postgres'
import { type Holding, packHoldings } from '@ringwall/runtime'
import { sql } from 'kysely'
import { migrateCenter } from '../apps/center/src/app/migrate-center.ts'
import { createHolders, findHolders } from '../apps/center/src/slices/malware/sharing/holders.ts'
import { mib, say } from './figures.ts'
import { writeSection } from './section.ts'

const entries = Number(process.env.RINGWALL_BENCH_ENTRIES ?? 10_000_000)
const machines = 1000
const filesPerMachine = Math.floor(entries / machines)
/** Of the files of a machine that others have too, as on clones of ten templates. */
const sharedShare = 0.9
const templates = 10
const queries = 300

const lines: string[] = []
const quantile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0

async function benchHolders(): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'ringwall-bench-'))
  chmodSync(root, 0o711)
  const silent = { info() {}, warn() {}, error() {} }
  const cluster = await startManagedCluster({
    dataDir: join(root, 'data'),
    osUser: 'nobody',
    logger: silent,
    signal: AbortSignal.timeout(120_000),
  })
  const db = createDatabase<unknown>({ connection: cluster.connection })
  try {
    await migrateCenter(db)
    const ids = Array.from({ length: machines }, () => randomUUID())
    await sql`insert into machine (id, hostname, os_family, os_name, pool, facts, agent_version)
      select id, id::text, 'linux', 'Debian', '', '{}', '1' from unnest(${ids}::uuid[]) id`.execute(db)
    const shared = Math.floor(filesPerMachine * sharedShare)
    const templateHashes = Array.from({ length: templates }, () =>
      Array.from({ length: shared }, () => randomBytes(32)),
    )
    const holders = createHolders({ db })
    const rare: Buffer[] = []
    say(`telling ${machines * filesPerMachine} holdings`)
    const startedAtMs = performance.now()
    for (const [index, id] of ids.entries()) {
      const own = Array.from({ length: filesPerMachine - shared }, () => randomBytes(32))
      if (own[0] !== undefined) rare.push(own[0])
      const all = [...(templateHashes[index % templates] ?? []), ...own]
      const holdings: Holding[] = all.map((hash) => ({ prefix: hash.subarray(0, 8), state: 1 }))
      const generation = randomUUID()
      for (let at = 0; at < holdings.length; at += sharingLimits.maxHoldings) {
        const packed = packHoldings(holdings.slice(at, at + sharingLimits.maxHoldings))
        await holders.onHoldings(id, { generation, isFirst: at === 0, entries: packed })
      }
    }
    const toldMs = performance.now() - startedAtMs
    const deltaStartMs = performance.now()
    for (const id of ids.slice(0, 100)) {
      const { rows } = await sql<{
        generation: string
      }>`select generation from holding_state where machine_id = ${id}`.execute(db)
      const changes = Array.from({ length: 300 }, () => ({ prefix: randomBytes(8), state: 1 }))
      await holders.onHoldings(id, {
        generation: rows[0]?.generation ?? '',
        isFirst: false,
        entries: packHoldings(changes),
      })
    }
    const deltaMs = (performance.now() - deltaStartMs) / 100
    await sql`vacuum analyze holding`.execute(db)
    const { rows: sizes } = await sql<{
      bytes: number
    }>`select pg_total_relation_size('holding')::bigint as bytes`.execute(db)
    const time = async (hashes: Buffer[], expected: number) => {
      const took: number[] = []
      for (let round = 0; round < queries; round += 1) {
        const hash = hashes[round % hashes.length] ?? Buffer.alloc(32)
        const fromMs = performance.now()
        const found = await findHolders(db, hash.toString('hex'))
        took.push(performance.now() - fromMs)
        if (found.length !== expected) throw new Error(`${found.length} holders, expected ${expected}`)
      }
      return `${quantile(took, 0.5).toFixed(1)} / ${quantile(took, 0.99).toFixed(1)} / ${Math.max(...took).toFixed(1)} ms`
    }
    const { rows: versions } = await sql<{ version: string }>`show server_version`.execute(db)
    const server = Object.values(versions[0] ?? {})[0] ?? ''
    lines.push(
      `## Who has this hash: ${(machines * filesPerMachine).toLocaleString('en')} files on ${machines.toLocaleString('en')} machines\n`,
      `${sharedShare * 100} % of a machine's files come from one of ${templates} templates. PostgreSQL ${server}, default settings.\n`,
      '| | measured | target |',
      '| --- | ---: | ---: |',
      `| a content on ${machines / templates} machines, median / p99 / most | ${await time(templateHashes[0] ?? [], machines / templates)} | < 1 s |`,
      `| a content on one machine | ${await time(rare, 1)} | < 1 s |`,
      `| a content on none | ${await time(
        Array.from({ length: 50 }, () => randomBytes(32)),
        0,
      )} | < 1 s |`,
      `| table and index on disk | ${mib(sizes[0]?.bytes ?? 0, 0)} MiB, ${((sizes[0]?.bytes ?? 0) / (machines * filesPerMachine)).toFixed(1)} bytes a file | |`,
      `| first telling of all, one machine after the other | ${(toldMs / 1000).toFixed(0)} s, ${Math.round((machines * filesPerMachine * 1000) / toldMs).toLocaleString('en')} files/s | |`,
      `| 300 changes of one machine | ${deltaMs.toFixed(0)} ms | |`,
      '',
    )
    return `PostgreSQL ${server}`
  } finally {
    await db.destroy()
    await cluster.stop()
    rmSync(root, { recursive: true, force: true })
  }
}

const peer = await benchHolders()
writeSection('holders', 'Index of holders', [peer], lines.join('\n'))
process.stdout.write(`${lines.join('\n')}\n`)
