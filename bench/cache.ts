/**
 * Measures the verdict cache at its full size: ./ringwall bench cache. One scanner with 10 million verdicts, asked over
 * its real interface, and beside it Redis with the same contents, asked by the same program (package redis-tools).
 */
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { lookupCodes } from '@ringwall/contracts'
import { encodeLogRecord, recordBytes } from '../apps/scanner/src/cache/log-record.ts'
import { createSite, freePort, type Json, type Site, waitFor } from '../tests/e2e/harness.ts'
import { contentHash } from './cache/contents.ts'
import type { LookupJob, LookupOutcome } from './cache/lookup-client.ts'
import { fillRedis, redisCommand, redisVersion, startRedis } from './cache/redis.ts'
import { mib, say } from './figures.ts'
import { writeSection } from './section.ts'

/** At least 300,000: with fewer a scanner takes no snapshot. */
const entries = Number(process.env.RINGWALL_BENCH_ENTRIES ?? 10_000_000)
const batches = [64, 512, 4096]
const lookupSeconds = 6
const connections = 4

type Identity = LookupJob['identity']
type Rate = { perSecond: number; perCpuSecond: number; clientCpuShare: number; isRight: boolean }
type Start = { seconds: number; cpuSeconds: number; rssBytes: number }

const count = (value: number) => Math.round(value).toLocaleString('en')
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
        sha256: contentHash(number),
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

/** Asks with random known hashes, from another process on this machine. */
async function lookups(
  pid: number,
  job: Pick<LookupJob, 'protocol' | 'port' | 'identity' | 'batch'>,
  seconds = lookupSeconds,
): Promise<Rate> {
  const client = spawn(process.execPath, [join(import.meta.dirname, 'cache/lookup-client.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const startCpuSeconds = cpuSecondsOf(pid)
  client.stdin.end(JSON.stringify({ ...job, entries, connections, seconds } satisfies LookupJob))
  const outcome = JSON.parse(await text(client.stdout)) as LookupOutcome
  const cpuSeconds = cpuSecondsOf(pid) - startCpuSeconds
  return {
    perSecond: outcome.asked / outcome.seconds,
    perCpuSecond: outcome.asked / cpuSeconds,
    clientCpuShare: outcome.clientCpuSeconds / (outcome.clientCpuSeconds + cpuSeconds),
    isRight: outcome.wrongAnswers === 0,
  }
}

async function allRates(
  pid: number,
  job: Pick<LookupJob, 'protocol' | 'port' | 'identity'>,
): Promise<Rate[]> {
  const rates: Rate[] = []
  for (const batch of batches) rates.push(await lookups(pid, { ...job, batch }))
  if (rates.some(({ isRight }) => !isRight)) throw new Error(`${job.protocol} gave wrong answers`)
  return rates
}

async function timed<T extends { pid: number }>(start: () => Promise<T>): Promise<Start & { program: T }> {
  const startMs = performance.now()
  const program = await start()
  const seconds = (performance.now() - startMs) / 1000
  return { program, seconds, cpuSeconds: cpuSecondsOf(program.pid), rssBytes: rssOf(program.pid) }
}

async function benchScanner(site: Site, agent: () => Identity) {
  let scanner = await site.startScanner()
  await site.startAgent()
  const healthOf = async () => (await site.list('/scanners'))[0]?.health as Json | undefined
  await waitFor('the content', async () => ((await healthOf())?.rules ? true : undefined))
  await scanner.kill('SIGKILL')
  say(`writing a log of ${entries} verdicts`)
  const fileOf = (name: string) => join(site.homeOf('scanner'), 'scanner/verdicts', name)
  const snapshotPath = fileOf('table.snapshot')
  writeLog(fileOf('verdicts.log'))
  rmSync(snapshotPath, { force: true })
  const fromLog = await timed(site.restartScanner)
  scanner = fromLog.program
  const cache = await waitFor('health', async () => {
    const state = (await healthOf())?.cache as { entries: number; residentBytes: number } | undefined
    return (state?.entries ?? 0) >= entries ? state : undefined
  })
  await waitFor('the snapshot', async () => (existsSync(snapshotPath) ? true : undefined), 300_000)
  say('lookups')
  const job = { protocol: 'ringwall', port: site.scannerPort, identity: agent() } as const
  const rates = await allRates(scanner.pid, job)
  const rssBytes = rssOf(scanner.pid)
  await scanner.kill('SIGKILL')
  const fromSnapshot = await timed(site.restartScanner)
  const { isRight } = await lookups(fromSnapshot.program.pid, { ...job, batch: 512 }, 2)
  const rssAfterRestartBytes = rssOf(fromSnapshot.program.pid)
  await fromSnapshot.program.kill('SIGKILL')
  return {
    rates,
    fromLog,
    fromSnapshot,
    isRight,
    rssBytes: Math.max(rssBytes, rssAfterRestartBytes, fromLog.rssBytes),
    entryBytes: cache.residentBytes / cache.entries,
    logBytes: statSync(fileOf('verdicts.log')).size,
    snapshotBytes: statSync(snapshotPath).size,
  }
}

async function benchRedis(dir: string, server: Identity, client: Identity) {
  mkdirSync(dir)
  const port = await freePort()
  let redis = await startRedis(dir, port, server)
  try {
    const emptyBytes = rssOf(redis.pid)
    say(`filling redis with ${entries} keys`)
    await fillRedis(redis.socketPath, entries)
    const rssBytes = rssOf(redis.pid)
    say('lookups of redis')
    const job = { protocol: 'redis', port, identity: client } as const
    const rates = await allRates(redis.pid, job)
    const saved = await redisCommand(redis.socketPath, 'SAVE')
    if (saved !== '+OK') throw new Error(`redis could not save: ${saved}`)
    await redis.kill()
    const start = await timed(async () => await startRedis(dir, port, server))
    redis = start.program
    const { isRight } = await lookups(redis.pid, { ...job, batch: 512 }, 2)
    return {
      rates,
      start,
      isRight,
      rssBytes,
      entryBytes: (rssBytes - emptyBytes) / entries,
      fileBytes: statSync(join(dir, 'dump.rdb')).size,
    }
  } finally {
    await redis.kill()
  }
}

type ScannerFigures = Awaited<ReturnType<typeof benchScanner>>
type RedisFigures = Awaited<ReturnType<typeof benchRedis>>

function report(own: ScannerFigures, peer: RedisFigures | undefined): string {
  const startText = ({ seconds, cpuSeconds }: Start) =>
    `${seconds.toFixed(1)} s (${cpuSeconds.toFixed(1)} s of processor time)`
  const ratio = (value: number, other: number | undefined) =>
    other === undefined ? '' : `${(value / other).toFixed(2)} ×`
  const row = (what: string, here: string, there = '', ours = '', target = '') =>
    `| ${what} | ${here} | ${there} | ${ours} | ${target} |`
  const rateRows = batches.flatMap((batch, index) => {
    const here = own.rates[index]
    const there = peer?.rates[index]
    if (here === undefined) return []
    const share = (rate: Rate) => `${(rate.clientCpuShare * 100).toFixed(0)} %`
    return [
      row(
        `lookups/s, ${batch} in a request`,
        count(here.perSecond),
        there && count(there.perSecond),
        ratio(here.perSecond, there?.perSecond),
        batch >= 512 ? '≥ 200,000' : '',
      ),
      row(
        '– for each second of the processor time of the server',
        count(here.perCpuSecond),
        there && count(there.perCpuSecond),
        ratio(here.perCpuSecond, there?.perCpuSecond),
      ),
      row('– share of the asking program in all processor time', share(here), there && share(there)),
    ]
  })
  return [
    `${count(entries)} verdicts; random known hashes, ${connections} connections with one request under way on each, mutual TLS 1.3, asked by a program of its own that has its requests ready and compares each answer. Redis has the same hashes as keys with values of 13 bytes and answers MGET. Load of the machine at the end: ${loadavg()
      .map((value) => value.toFixed(1))
      .join(', ')}.\n`,
    '| | scanner | Redis | ratio | target |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...rateRows,
    row(
      'bytes an entry (scanner: slots, free ones included; Redis: growth of RSS)',
      own.entryBytes.toFixed(1),
      peer?.entryBytes.toFixed(1),
      ratio(own.entryBytes, peer?.entryBytes),
      '≤ 100',
    ),
    row(
      'most RSS seen',
      `${mib(own.rssBytes, 0)} MiB`,
      peer && `${mib(peer.rssBytes, 0)} MiB`,
      ratio(own.rssBytes, peer?.rssBytes),
      '≤ 1,500 MiB',
    ),
    row(
      'on disk (scanner: log and snapshot; Redis: one RDB file)',
      `${mib(own.logBytes, 0)} + ${mib(own.snapshotBytes, 0)} MiB`,
      peer && `${mib(peer.fileBytes, 0)} MiB`,
    ),
    row(
      'start after kill -9, until it answers',
      startText(own.fromSnapshot),
      peer && startText(peer.start),
      ratio(own.fromSnapshot.seconds, peer?.start.seconds),
      'a few seconds',
    ),
    row('start without the snapshot, from the log', startText(own.fromLog)),
    row(
      'after that start',
      own.isRight ? 'every verdict there' : 'verdicts missing',
      peer && (peer.isRight ? 'every key there' : 'keys missing'),
    ),
  ].join('\n')
}

const site = await createSite()
try {
  const identityOf = (name: 'agent' | 'scanner') =>
    JSON.parse(readFileSync(join(site.homeOf(name), name, 'identity.json'), 'utf8')) as Identity
  const agent = () => identityOf('agent')
  const own = await benchScanner(site, agent)
  const version = redisVersion()
  if (version === undefined) say('no redis here (package redis-tools): no peer')
  const peer =
    version === undefined
      ? undefined
      : await benchRedis(join(site.root, 'redis'), identityOf('scanner'), agent())
  const section = report(own, peer)
  writeSection('cache', 'Verdict cache', [version === undefined ? 'no peer' : `Redis ${version}`], section)
  process.stdout.write(`${section}\n`)
} finally {
  await site.close()
}
