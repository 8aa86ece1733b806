/**
 * Measures Ringwall beside its peers in one run: ./ringwall bench main-job. Needs root and the packages of the
 * scope `bench` in scripts/system-packages.txt.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { Agent, request } from 'node:https'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { WebSocket } from 'ws'
import { createSite, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { median, mib, say, seconds } from './figures.ts'
import { writeSection } from './section.ts'
import { writeSignatures } from './signatures.ts'

const minFiles = 100_000
const minBytes = 2 * 1024 ** 3
/** No file is larger: a few large ones would be most of the bytes. */
const largeBytes = 2 * 1024 * 1024
const rounds = 3
const lookupSeconds = 8
const ingestSeconds = 8

const lines: string[] = []

/** Once there are enough bytes, only files up to this size make up the number. */
const smallBytes = 16 * 1024

function* filesBelow(path: string): Generator<{ path: string; sizeBytes: number }> {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) yield* filesBelow(child)
    else if (entry.isFile()) yield { path: child, sizeBytes: statSync(child).size }
  }
}

/** A tree of the machine's own packages: files of /usr, of every size until there are enough bytes, then small ones. */
function buildTree(tree: string): { files: number; bytes: number } {
  let files = 0
  let bytes = 0
  for (let copy = 0; copy < 4; copy += 1) {
    for (const { path, sizeBytes } of filesBelow('/usr')) {
      if (files >= minFiles && bytes >= minBytes) return { files, bytes }
      if (sizeBytes > (bytes >= minBytes ? smallBytes : largeBytes)) continue
      const target = join(tree, String(copy), path)
      mkdirSync(dirname(target), { recursive: true })
      copyFileSync(path, target)
      files += 1
      bytes += sizeBytes
    }
  }
  throw new Error('there are not enough files in /usr')
}

/** Runs a peer, which answers 0 or 1; anything else is no scan that could be compared. */
function scanWith(program: string, args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0 && status !== 1)
    throw new Error(`${program} ended with ${status}: ${String(stderr).slice(0, 500)}`)
}

async function timed(work: () => Promise<unknown> | unknown): Promise<number> {
  const startedAtMs = performance.now()
  await work()
  return performance.now() - startedAtMs
}

function memoryOf(pid: number): { rss: number; pss: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { rss: kib('Rss') * 1024, pss: kib('Pss') * 1024 }
}

async function benchScan(site: Site, machineId: string, work: string): Promise<void> {
  const tree = join(work, 'tree')
  say('building the tree')
  const { files, bytes } = buildTree(tree)
  const signatures = join(work, 'signatures')
  const count = writeSignatures(signatures)
  const socket = join(work, 'clamd.sock')
  writeFileSync(
    join(work, 'clamd.conf'),
    `LocalSocket ${socket}\nDatabaseDirectory ${signatures}\nUser root\nForeground yes\nMaxThreads ${cpus().length}\nLogFile ${join(work, 'clamd.log')}\n`,
  )
  const clamd = spawn('clamd', ['-c', join(work, 'clamd.conf')], { stdio: 'ignore' })
  await waitFor('clamd', () => Promise.resolve(existsSync(socket) ? true : undefined))
  const scan = async () => await site.endOf(await site.startScan(machineId, [tree]), 1_800_000)
  // Everybody reads from the page cache.
  execFileSync('sh', [
    '-c',
    `cat $(find ${tree} -type f | head -1) > /dev/null; find ${tree} -type f -print0 | xargs -0 cat > /dev/null`,
  ])

  const agentPid = site.running.get('agent')?.pid ?? 0
  const idle = memoryOf(agentPid)
  let peak = { rss: 0, pss: 0 }
  const watch = setInterval(() => {
    const now = memoryOf(agentPid)
    peak = { rss: Math.max(peak.rss, now.rss), pss: Math.max(peak.pss, now.pss) }
  }, 250)
  say('ringwall, nothing known')
  const cold = await timed(async () => {
    const ended = await scan()
    if (ended.state !== 'completed') throw new Error(`the scan ${String(ended.state)}`)
  })
  const warm: number[] = []
  const multi: number[] = []
  const single: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    say(`round ${round + 1}`)
    warm.push(await timed(scan))
    multi.push(
      await timed(() =>
        scanWith('clamdscan', [
          '-c',
          join(work, 'clamd.conf'),
          '--multiscan',
          '--fdpass',
          '--no-summary',
          '--infected',
          tree,
        ]),
      ),
    )
    if (round === 0)
      single.push(
        await timed(() => scanWith('clamscan', ['-d', signatures, '-r', '--no-summary', '--infected', tree])),
      )
  }
  clearInterval(watch)
  clamd.kill()
  lines.push(
    `## Scan of one tree\n`,
    `${files} files, ${mib(bytes)} MiB, from the machine's own packages, in the page cache. ${count} rules here, ${count} signatures there. Medians of ${rounds} rounds in turn; the cold scan and clamscan ran once.\n`,
    '| scan | seconds | against clamdscan |',
    '| --- | ---: | ---: |',
    `| Ringwall, data centre knows nothing (all unknown content travels over TLS) | ${seconds(cold, 1)} | ${(cold / median(multi)).toFixed(2)} |`,
    `| Ringwall, verdicts known (a clone, or the next scan) | ${seconds(median(warm), 1)} | ${(median(warm) / median(multi)).toFixed(2)} |`,
    `| clamdscan --multiscan --fdpass | ${seconds(median(multi), 1)} | 1.00 |`,
    `| clamscan -r | ${seconds(median(single), 1)} | ${(median(single) / median(multi)).toFixed(2)} |`,
    '',
    '## Memory of the agent\n',
    '| state | RSS MiB | PSS MiB |',
    '| --- | ---: | ---: |',
    `| idle | ${mib(idle.rss)} | ${mib(idle.pss)} |`,
    `| most while scanning | ${mib(peak.rss)} | ${mib(peak.pss)} |`,
    '',
  )
}

type Identity = { keyPem: string; certificatePem: string; caPem: string }
const identityOf = (site: Site, name: string) =>
  JSON.parse(readFileSync(join(site.homeOf(name), 'agent/identity.json'), 'utf8')) as Identity

async function benchLookups(site: Site): Promise<void> {
  say('lookups')
  const { keyPem, certificatePem, caPem } = identityOf(site, 'agent')
  const agent = new Agent({
    keepAlive: true,
    key: keyPem,
    cert: certificatePem,
    ca: caPem,
    checkServerIdentity: () => undefined,
  })
  const contents = Array.from({ length: 2048 }, (_, index) => Buffer.from(`lookup ${index}`))
  const hashes = Buffer.concat(contents.map((bytes) => createHash('sha256').update(bytes).digest()))
  const post = async (path: string, body: Buffer) =>
    await new Promise<Buffer>((resolve, reject) => {
      const call = request({
        host: '127.0.0.1',
        port: site.scannerPort,
        method: 'POST',
        path,
        agent,
        headers: { 'content-length': body.length },
      })
      call.on('error', reject)
      call.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks)))
      })
      call.end(body)
    })
  const framed = contents.flatMap((bytes) => {
    const head = Buffer.alloc(36)
    createHash('sha256').update(bytes).digest().copy(head)
    head.writeUInt32BE(bytes.length, 32)
    return [head, bytes]
  })
  await post('/v1/contents', Buffer.concat(framed))
  const rate = async (batch: number) => {
    let done = 0
    const untilMs = performance.now() + lookupSeconds * 1000
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (performance.now() < untilMs)
          done += (await post('/v1/lookup', hashes.subarray(0, batch * 32))).length
      }),
    )
    return Math.round(done / lookupSeconds)
  }
  lines.push('## Lookups of the scanner\n', '| hashes in a request | lookups per second |', '| ---: | ---: |')
  for (const batch of [1, 64, 2048]) lines.push(`| ${batch} | ${await rate(batch)} |`)
  lines.push('')
  agent.destroy()
}

async function benchIngest(site: Site): Promise<void> {
  say('events')
  const names = ['ingest-1', 'ingest-2', 'ingest-3', 'ingest-4']
  let committed = 0
  let batches = 0
  const stop: (() => void)[] = []
  for (const name of names) {
    await site.startAgent(name)
    await site.running.get(name)?.kill('SIGKILL')
  }
  for (const name of names) {
    const { keyPem, certificatePem, caPem } = identityOf(site, name)
    const epoch = '0198c0de-0000-7000-8000-000000000001'
    let seq = 0
    const socket = new WebSocket(`wss://127.0.0.1:${site.ports.RINGWALL_GATEWAY_PORT}/link`, [], {
      key: keyPem,
      cert: certificatePem,
      ca: caPem,
    })
    const send = (type: string, body: Json) => socket.send(JSON.stringify({ v: 1, type, body }))
    const sendBatch = () => {
      const records = Array.from({ length: 500 }, () => {
        seq += 1
        return {
          seq,
          event: {
            id: `0198c0de-0000-7000-8000-${randomBytes(6).toString('hex')}`,
            at: new Date().toISOString(),
            type: 'agent.problem',
            code: 'bench',
            params: { index: seq },
            active: false,
          },
        }
      })
      send('events', { epoch, records })
    }
    socket.on('open', () =>
      send('hello', {
        softwareVersion: 'bench',
        instanceId: '',
        bootId: '',
        processNonce: randomBytes(8).toString('hex'),
        ratchet: '',
        appliedVersion: 0,
      }),
    )
    socket.on('message', (data) => {
      const text = String(data)
      if (!text.startsWith('{')) return
      const { type } = JSON.parse(text) as { type: string }
      if (type === 'welcome') for (let index = 0; index < 2; index += 1) sendBatch()
      if (type === 'ack') {
        committed += 500
        batches += 1
        sendBatch()
      }
    })
    socket.on('error', () => undefined)
    stop.push(() => socket.terminate())
  }
  await waitFor('the first acks', () => Promise.resolve(batches > 8 ? true : undefined))
  const from = committed
  await new Promise((resolve) => setTimeout(resolve, ingestSeconds * 1000))
  lines.push(
    '## Events of the center\n',
    `${Math.round((committed - from) / ingestSeconds)} events per second committed and acknowledged, from ${names.length} links with batches of 500; each event is a row, and its consumer runs in the same transaction (fsync on).`,
    '',
  )
  for (const end of stop) end()
}

const work = mkdtempSync(join(tmpdir(), 'ringwall-bench-'))
const site = await createSite()
try {
  await site.startScanner({ RINGWALL_SCANNER_WORKERS: String(cpus().length) })
  const machineId = await site.startAgent()
  await benchScan(site, machineId, work)
  await benchLookups(site)
  await benchIngest(site)
} finally {
  await site.close()
  rmSync(work, { recursive: true, force: true })
}
writeSection(
  'main-job',
  'The main job',
  [execFileSync('clamscan', ['--version']).toString().trim()],
  lines.join('\n'),
)
say('wrote bench/results/main-job.md')
