/**
 * Measures the verdict cache at its full size: ./ringwall bench cache. One scanner with 10 million verdicts, asked
 * over its real interface; the index of who has which content with 10 million files on 1,000 machines, in PostgreSQL.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lookupCodes, sharingLimits } from '@ringwall/contracts'
import { createDatabase, migrate, startManagedCluster } from '@ringwall/postgres'
import { type Holding, packHoldings } from '@ringwall/runtime'
import { sql } from 'kysely'
import { slices } from '../apps/center/src/app/slices.ts'
import { createHolders, findHolders } from '../apps/center/src/slices/malware/sharing/holders.ts'
import { encodeLogRecord, recordBytes } from '../apps/scanner/src/cache/log-record.ts'
import { createSite, type Json, waitFor } from '../tests/e2e/harness.ts'
import { writeSection } from './section.ts'

const entries = Number(process.env.RINGWALL_BENCH_ENTRIES ?? 10_000_000)
const machines = 1000
const filesPerMachine = Math.floor(entries / machines)
/** Of the files of a machine that others have too, as on clones of ten templates. */
const sharedShare = 0.9
const templates = 10
const lookupSeconds = 8
const lookupConnections = 4
const queries = 300

const lines: string[] = []
const say = (text: string) => process.stderr.write(`bench: ${text}\n`)
const mib = (bytes: number) => (bytes / 1024 ** 2).toFixed(0)
const quantile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0
const hashOf = (number: number) => createHash('sha256').update(`content ${number}`).digest()
const rssOf = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024

/** Processor time of a process: what counts where other programs share the machine. Linux counts 100 ticks a second. */
const cpuSecondsOf = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** A verdict log as the scanner itself writes it. */
function writeLog(path: string): void {
  const file = openSync(path, 'w', 0o600)
  const chunk = Buffer.alloc(4096 * recordBytes)
  const nowMs = Date.now()
  for (let number = 0; number < entries; ) {
    let length = 0
    for (; length < chunk.length && number < entries; number += 1, length += recordBytes)
      encodeLogRecord({
        sha256: hashOf(number),
        code: lookupCodes.clean,
        flags: 1,
        version: 0,
        sizeBytes: number % 1_000_000,
        judgedAtMs: nowMs - (number % 1000) * 86_400,
      }).copy(chunk, length)
    writeSync(file, chunk, 0, length)
  }
  closeSync(file)
}

async function benchScanner(): Promise<void> {
  const site = await createSite()
  try {
    let scanner = await site.startScanner()
    await site.startAgent()
    const healthOf = async () => (await site.list('/scanners'))[0]?.health as Json | undefined
    await waitFor('the content', async () => ((await healthOf())?.rules ? true : undefined))
    await scanner.kill('SIGKILL')
    say(`writing a log of ${entries} verdicts`)
    const logPath = join(site.homeOf('scanner'), 'scanner/verdicts/verdicts.log')
    writeLog(logPath)
    let startedAtMs = performance.now()
    scanner = await site.restartScanner()
    const startMs = performance.now() - startedAtMs
    await new Promise((resolve) => setTimeout(resolve, 5000))
    const rssBytes = rssOf(scanner.pid)
    const cache = await waitFor('health', async () => {
      const state = (await healthOf())?.cache as { entries: number; residentBytes: number } | undefined
      return (state?.entries ?? 0) >= entries ? state : undefined
    })
    say('lookups')
    const startCpuSeconds = cpuSecondsOf(scanner.pid)
    const rates = await lookups(site)
    const lookupCpuSeconds = cpuSecondsOf(scanner.pid) - startCpuSeconds
    const rssAfterBytes = rssOf(scanner.pid)
    await scanner.kill('SIGKILL')
    startedAtMs = performance.now()
    scanner = await site.restartScanner()
    const restartMs = performance.now() - startedAtMs
    const known = await lookups(site, 1)
    lines.push(
      `## One scanner, ${entries.toLocaleString('en')} verdicts\n`,
      '| | measured | target |',
      '| --- | ---: | ---: |',
      `| bytes an entry in the table, free slots included | ${(cache.residentBytes / cache.entries).toFixed(1)} | ≤ 100 |`,
      `| RSS after the start | ${mib(rssBytes)} MiB | ≤ 1,500 MiB |`,
      `| RSS after the lookups | ${mib(rssAfterBytes)} MiB | ≤ 1,500 MiB |`,
      `| log on disk | ${mib(statSync(logPath).size)} MiB | |`,
      `| start until it answers | ${(startMs / 1000).toFixed(1)} s, ${startCpuSeconds.toFixed(1)} s of processor time | |`,
      `| start after kill -9 | ${(restartMs / 1000).toFixed(1)} s, ${known.known === known.asked ? 'every verdict there' : `${known.asked - known.known} verdicts lost`} | |`,
      ...rates.rows.map(
        ({ batch, perSecond }) =>
          `| lookups/s over HTTPS, ${batch} in a request | ${perSecond.toLocaleString('en')} | ${batch >= 512 ? '≥ 200,000' : ''} |`,
      ),
      `| lookups for each second of the scanner's processor time | ${Math.round(rates.asked / lookupCpuSeconds).toLocaleString('en')} | |`,
      '',
    )
  } finally {
    await site.close()
  }
}

/** Asks with random known hashes over the real interface, from this process on the same machine. */
async function lookups(site: Awaited<ReturnType<typeof createSite>>, seconds = lookupSeconds) {
  const identity = JSON.parse(readFileSync(join(site.homeOf('agent'), 'agent/identity.json'), 'utf8')) as {
    keyPem: string
    certificatePem: string
    caPem: string
  }
  const agent = new Agent({
    keepAlive: true,
    maxSockets: lookupConnections,
    key: identity.keyPem,
    cert: identity.certificatePem,
    ca: identity.caPem,
    checkServerIdentity: () => undefined,
  })
  const ask = async (body: Buffer) =>
    await new Promise<Buffer>((resolve, reject) => {
      const options = { host: '127.0.0.1', port: site.scannerPort, method: 'POST', path: '/v1/lookup', agent }
      const call = request({ ...options, headers: { 'content-length': body.length } })
      call.on('error', reject)
      call.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks)))
      })
      call.end(body)
    })
  // Made beforehand: the hashing of this program is not what is measured.
  const pool = Buffer.concat(
    Array.from({ length: 200_000 }, () => hashOf(Math.floor(Math.random() * entries))),
  )
  let asked = 0
  let known = 0
  const rows: { batch: number; perSecond: number }[] = []
  for (const batch of [64, 512, 4096]) {
    let done = 0
    const untilMs = performance.now() + seconds * 1000
    await Promise.all(
      Array.from({ length: lookupConnections }, async () => {
        while (performance.now() < untilMs) {
          const at = Math.floor(Math.random() * (200_000 - batch)) * 32
          const codes = await ask(pool.subarray(at, at + batch * 32))
          done += codes.length
          for (const code of codes) if (code === lookupCodes.clean) known += 1
        }
      }),
    )
    asked += done
    rows.push({ batch, perSecond: Math.round(done / seconds) })
  }
  agent.destroy()
  return { rows, asked, known }
}

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
    await migrate(
      db,
      slices.map(({ name, migrations }) => ({ slice: name, migrations })),
    )
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
      `| table and index on disk | ${mib(sizes[0]?.bytes ?? 0)} MiB, ${((sizes[0]?.bytes ?? 0) / (machines * filesPerMachine)).toFixed(1)} bytes a file | |`,
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

await benchScanner()
const peer = await benchHolders()
writeSection('cache', 'Verdict cache and index of holders', [peer], lines.join('\n'))
process.stdout.write(`${lines.join('\n')}\n`)
