/**
 * Measures the tree of templates and clones at 5,000 machines: ./ringwall bench lineage. Ten templates, the clones of
 * them, and clones of those, half of them told by a platform and half by enrolment, in PostgreSQL.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, startManagedCluster, unnest } from '@ringwall/postgres'
import { executableBit, packHoldings } from '@ringwall/runtime'
import { CompiledQuery, type KyselyPlugin, type RootOperationNode, sql } from 'kysely'
import { migrateCenter } from '../apps/center/src/app/migrate-center.ts'
import { createHolders } from '../apps/center/src/slices/malware/sharing/holders.ts'
import { clonesHolding } from '../apps/center/src/slices/malware/sharing/lineage.ts'
import { createLineage } from '../apps/center/src/slices/malware/sharing/lineage-api.ts'
import { say } from './figures.ts'
import { writeSection } from './section.ts'

const templates = 10
const middles = 10
const leaves = 49
const contents = 60_000
const ownContents = 600
const comparedClones = 10
const rounds = 20
const findings = 2000
const quantile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0

type Made = { id: string; hostname: string; parent: string | null; isTold: boolean; isListed: boolean }
/** Even families are told by a platform, odd ones by enrolment. */
function family(index: number): Made[] {
  const isListed = index % 2 === 0
  const make = (hostname: string, parent: Made | null): Made => ({
    id: randomUUID(),
    hostname,
    parent: parent?.id ?? null,
    isTold: !isListed,
    isListed,
  })
  const root = make(`template-${index}`, null)
  return [
    root,
    ...Array.from({ length: middles }, (_, middle) => make(`gold-${index}-${middle}`, root)).flatMap((of) => [
      of,
      ...Array.from({ length: leaves }, (_, leaf) => make(`${of.hostname}-${leaf}`, of)),
    ]),
  ]
}

/** Remembers what is asked, so that the same questions can be explained. */
function createWitness() {
  let nodes: RootOperationNode[] = []
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      nodes.push(node)
      return node
    },
    transformResult: async ({ result }) => result,
  }
  return {
    plugin,
    take: () => {
      const taken = nodes
      nodes = []
      return taken
    },
  }
}

const root = mkdtempSync(join(tmpdir(), 'ringwall-bench-'))
chmodSync(root, 0o711)
const cluster = await startManagedCluster({
  dataDir: join(root, 'data'),
  osUser: 'nobody',
  logger: { info() {}, warn() {}, error() {} },
  signal: AbortSignal.timeout(120_000),
})
const plain = createDatabase<unknown>({ connection: cluster.connection })
const witness = createWitness()
const db = plain.withPlugin(witness.plugin)
try {
  await migrateCenter(plain)
  const machines = Array.from({ length: templates }, (_, index) => family(index)).flat()
  const [template, clone] = [machines[0], machines[1]]
  if (template === undefined || clone === undefined) throw new Error('no machine')
  const told = unnest(
    machines.map(({ id, hostname, parent, isTold }) => ({ id, hostname, parent: isTold ? parent : null })),
    { id: 'uuid', hostname: 'text', parent: 'uuid' },
  ).expression
  await sql`insert into peer (id, kind, name, cert_serial, cert_not_after, cert_fingerprint)
    select id, 'agent', hostname, id::text, now(), '' from (${told}) as v (id, hostname, parent)`.execute(
    plain,
  )
  await sql`insert into machine (id, hostname, os_family, os_name, pool, facts, agent_version, lineage_parent, lineage_evidence)
    select id, hostname, 'linux', 'Debian', 'virtual', '{}', '1', parent, case when parent is null then null else 'same certificate' end
    from (${told}) as v (id, hostname, parent)`.execute(plain)
  const platformId = randomUUID()
  await sql`insert into platform (id, kind, name, address, credential_kind, sealed_credentials, is_enabled, resync_minutes, requests_per_second, labels, state)
    values (${platformId}, 'ovirt', 'bench', '', 'password', '', true, 5, 1, '{}', 'ok')`.execute(plain)
  const listed = unnest(
    machines.map(({ id, hostname, parent, isListed }) => ({
      id,
      hostname,
      parent: isListed ? parent : null,
    })),
    { id: 'uuid', hostname: 'text', parent: 'uuid' },
  ).expression
  await sql`insert into asset (id, platform_id, ref, kind, pool, name, power, macs, addresses, datastores, parent_ref, parent_kind, parent_evidence, first_seen_at, last_seen_at, machine_id)
    select gen_random_uuid(), ${platformId}, id::text, 'guest', 'virtual', hostname, 'on', '{}', '{}', '{}', parent::text, 'linked', 'backing disk', now(), now(), id
    from (${listed}) as v (id, hostname, parent)`.execute(plain)
  await sql`insert into finding (id, machine_id, path, sha256, size_bytes, severity, title, category, state, content_version, engine_findings, detected_at, changed_at)
    select gen_random_uuid(), id, '/f', 'x', 1, 'malicious', 't', 'c', 'reported', 'v', '[]', now(), now() from machine order by random() limit ${findings}`.execute(
    plain,
  )
  const base = Array.from({ length: contents }, (_, index) => ({
    prefix: randomBytes(8),
    state: index % 10 === 0 ? executableBit | 1 : 1,
  }))
  const hold = async (machineId: string, own: number) => {
    const held = [
      ...base.slice(own),
      ...Array.from({ length: own }, () => ({ prefix: randomBytes(8), state: 1 })),
    ]
    await createHolders({ db: plain }).onHoldings(machineId, {
      generation: randomUUID(),
      isFirst: true,
      entries: packHoldings(held),
    })
  }
  await hold(template.id, 0)
  const children = machines.filter(({ parent }) => parent === template.id).slice(0, comparedClones)
  for (const { id } of children) await hold(id, ownContents)
  await sql`analyze`.execute(plain)
  say(`${machines.length} machines`)

  const { handlers } = createLineage({ db })
  const given = { params: undefined, query: undefined, body: undefined }
  const questions: Record<string, () => Promise<unknown>> = {
    'first page of templates (25)': async () =>
      await handlers.listLineage({ ...given, query: { limit: 25 } }),
    'templates by name': async () =>
      await handlers.listLineage({ ...given, query: { limit: 25, search: 'plate-7' } }),
    'clones of a template (10), each compared by 60,000 contents': async () =>
      await handlers.listClones({ ...given, params: { machineId: template.id }, query: { limit: 20 } }),
    'clones of a clone (20 of 49), nothing to compare': async () =>
      await handlers.listClones({ ...given, params: { machineId: clone.id }, query: { limit: 20 } }),
    'all clones of a template that hold a content (499)': async () =>
      await clonesHolding(db, template.id, 'ab'.repeat(32)),
    'parent of a machine, for its manifest': async () =>
      await sql`select parent_id from machine_lineage where clone_id = ${clone.id}`.execute(db),
    'is a template, of 500 machines': async () =>
      await sql`select 1 from machine_lineage where parent_id = any(${machines.slice(1, 500).map(({ id }) => id)}::uuid[])
        union all select 1 from lineage_statement where machine_id = any(${machines.slice(1, 500).map(({ id }) => id)}::uuid[]) and parent_id is null limit 1`.execute(
        db,
      ),
  }
  const rows: string[] = []
  for (const [what, ask] of Object.entries(questions)) {
    const times: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      witness.take()
      const from = performance.now()
      await ask()
      times.push(performance.now() - from)
    }
    let executionMs = 0
    let buffers = 0
    for (const node of witness.take()) {
      const { sql: text, parameters } = plain.getExecutor().compileQuery(node, { queryId: what })
      const explained = await plain.executeQuery<{ 'QUERY PLAN': [Plan] }>(
        CompiledQuery.raw(`explain (analyze, buffers, format json) ${text}`, [...parameters]),
      )
      const [plan] = explained.rows[0]?.['QUERY PLAN'] ?? []
      executionMs += plan?.['Execution Time'] ?? 0
      const { 'Shared Hit Blocks': hit = 0, 'Shared Read Blocks': read = 0 } = plan?.Plan ?? {}
      buffers += hit + read
      if (process.env.RINGWALL_BENCH_PLANS !== undefined) {
        const shown = await plain.executeQuery<{ 'QUERY PLAN': string }>(
          CompiledQuery.raw(`explain (analyze, buffers) ${text}`, [...parameters]),
        )
        say(`${what}\n${shown.rows.map((row) => row['QUERY PLAN']).join('\n')}`)
      }
    }
    rows.push(
      `| ${what} | ${quantile(times, 0.5).toFixed(1)} | ${quantile(times, 1).toFixed(1)} | ${executionMs.toFixed(1)} | ${buffers} |`,
    )
    say(rows.at(-1) ?? '')
  }
  const version = (await sql<{ v: string }>`select current_setting('server_version') as v`.execute(plain))
    .rows[0]?.v
  writeSection(
    'lineage',
    'The tree of templates and clones, 5,000 machines',
    [`PostgreSQL ${version}`],
    [
      `${machines.length} machines: ${templates} templates, ${middles} clones of each, ${leaves} clones of each of those; half of the families are told by a platform, half by enrolment; ${findings} open findings. Warm, ${rounds} rounds; execution and 8-KiB blocks are the sums over the queries of one round, by EXPLAIN (ANALYZE, BUFFERS).\n`,
      '| question | median ms | worst ms | execution ms | blocks |',
      '| --- | ---: | ---: | ---: | ---: |',
      ...rows,
    ].join('\n'),
  )
} finally {
  await plain.destroy()
  await cluster.stop()
  rmSync(root, { recursive: true, force: true })
}

type Plan = {
  'Execution Time': number
  Plan: { 'Shared Hit Blocks'?: number; 'Shared Read Blocks'?: number }
}
