import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  AppError,
  desiredScannerStateSchema,
  errorMessage,
  type ScannerHealth,
  scannerLimits,
} from '@ringwall/contracts'
import { contentPartsOf, sha256Set, versionOfParts } from '@ringwall/engines'
import {
  createLinkClient,
  createLogger,
  enrol,
  onShutdown,
  openIdentity,
  sleep,
  systemClock,
  verify,
} from '@ringwall/runtime'
import { createClaims } from './cache/claims.ts'
import { VerdictStore } from './cache/verdict-store.ts'
import { readScannerConfig, type ScannerConfig } from './config.ts'
import { createContentUpdater } from './content/content-updater.ts'
import { createScannerServer } from './http/server.ts'
import { openTempFiles } from './http/temp-files.ts'
import { createKeptJudging } from './kept/judge-kept.ts'
import { openKeptContents } from './kept/kept-contents.ts'
import { createManifestRoutes } from './manifests/manifest-routes.ts'
import { openManifestStore } from './manifests/manifest-store.ts'
import { createJudge } from './pipeline/judge.ts'
import { EnginePool } from './pipeline/pool.ts'
import { runWorker } from './pipeline/worker.ts'
import { createExchange } from './sharing/exchange.ts'
import { createFlushes } from './sharing/flushes.ts'

const softwareVersion = process.env.RINGWALL_VERSION ?? '0.0.0'
const diskFullShownMs = 60_000
const maintainMs = 30_000

async function enrolScanner(config: ScannerConfig, args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { center: { type: 'string' }, token: { type: 'string' }, 'ca-hash': { type: 'string' } },
  })
  const { center, token, 'ca-hash': caHash } = values
  if (center === undefined || token === undefined || caHash === undefined)
    throw new AppError('invalid_request', { problems: 'enroll needs --center, --token and --ca-hash' })
  const { id } = await enrol({
    center,
    token,
    caHash,
    role: 'scanner',
    softwareVersion,
    addresses: config.addresses,
    dir: config.dir,
  })
  process.stdout.write(`${JSON.stringify({ enrolled: true, id })}\n`)
}

/** Runs the scanner until a signal ends it. */
async function runScanner(config: ScannerConfig): Promise<void> {
  const logger = createLogger({ name: 'scanner', level: config.logLevel })
  const identity = openIdentity(config.dir, 'scanner')
  const verdictsDir = join(config.dir, 'verdicts')
  const store = VerdictStore.open(verdictsDir, { maxEntries: config.cacheEntries })
  const exchange = createExchange({
    store,
    dir: verdictsDir,
    link: () => link,
    logger,
    onKnown: (sha256) => claims.settle(sha256),
  })
  const flushes = createFlushes({ store, dir: verdictsDir, logger })
  const claims = createClaims({ ttlMs: scannerLimits.claimTtlMs, clock: systemClock })
  const command = { file: process.execPath, args: [import.meta.filename, 'worker'] }
  const pool = new EnginePool({ workers: config.workers, command, deadlineMs: config.deadlineMs, logger })
  let diskFullAtMs = Number.NEGATIVE_INFINITY
  const onDiskFull = () => {
    diskFullAtMs = performance.now()
  }
  const updater = createContentUpdater({
    dir: join(config.dir, 'content'),
    identity,
    logger,
    load: async (packPath, pack) => {
      await pool.load(packPath)
      // Named by the engines of this program: they may not be those of the center.
      const parts = contentPartsOf(pack)
      await store.useContent({ version: versionOfParts(parts), parts }, sha256Set(pack))
      exchange.onJudged()
      // When it is in use.
      setImmediate(keptJudging.begin)
    },
  })
  const judge = createJudge({
    pool,
    store,
    claims,
    contentVersion: updater.version,
    clock: systemClock,
    logger,
    onStoreError: onDiskFull,
    onJudged: exchange.onJudged,
  })
  const kept = openKeptContents(join(config.dir, 'contents'), {
    capBytes: config.keepBytes,
    maxContentBytes: scannerLimits.smallContentBytes,
    logger,
  })
  const isBusy = () => pool.figures.queueLength > 0
  const keptJudging = createKeptJudging({ kept, store, judge, isBusy, logger })
  const http = createScannerServer({
    identity,
    store,
    claims,
    judge,
    tempFiles: openTempFiles(join(config.dir, 'temp'), config.tempBytes),
    manifests: createManifestRoutes(
      openManifestStore(join(config.dir, 'manifests'), config.manifestBytes),
      systemClock.nowMs,
    ),
    maxContentBytes: config.maxContentBytes,
    inFlightBytes: config.inFlightBytes,
    contentVersion: updater.version,
    health,
    askCenter: exchange.ask,
    onClean: kept.keep,
    onDiskFull,
    logger,
  })

  function health(): ScannerHealth {
    const { alive, busy, restarts, queueLength } = pool.figures
    const { lookups, hits, centerHits, uploads, joinedUploads, uploadedBytes } = http.figures
    const problems: string[] = []
    const contentProblem = updater.problem()
    if (contentProblem !== undefined) problems.push(contentProblem.code)
    if (performance.now() - diskFullAtMs < diskFullShownMs) problems.push('disk_full')
    if (alive === 0) problems.push('no_engine')
    return {
      contentVersion: updater.version(),
      rules: pool.loaded?.rules ?? 0,
      hashes: pool.loaded?.hashes ?? 0,
      engines: pool.loaded?.engines ?? [],
      workers: { alive, busy, restarts },
      cacheEntries: store.size,
      lookups,
      hits,
      uploads,
      joinedUploads,
      uploadedBytes,
      queueLength,
      rssBytes: process.memoryUsage.rss(),
      problems,
      cache: {
        ...store.figures,
        ...exchange.figures(),
        ...kept.figures(),
        maxEntries: config.cacheEntries,
        lookups,
        hits,
        centerHits,
        flushNumber: flushes.number(),
      },
    }
  }

  let appliedVersion = 0
  const link = createLinkClient({
    identity,
    logger,
    hello: () => ({
      softwareVersion,
      instanceId: '',
      bootId: '',
      addresses: config.addresses,
      appliedVersion,
    }),
    heartbeat: () => {
      const scanner = health()
      return {
        state: scanner.problems.length === 0 ? 'ok' : 'degraded',
        problems: scanner.problems,
        rssBytes: scanner.rssBytes,
        cpuPercent: 0,
        spoolRecords: 0,
        spoolBytes: 0,
        droppedRecords: 0,
        unknownMessages: link.unknownMessages(),
        scanner,
      }
    },
    handlers: {
      desired: ({ payload, signature }) => {
        if (!verify(identity.current().policyKeyPem, Buffer.from(payload), signature))
          return logger.error({}, 'a desired state with a bad signature was refused')
        const desired = desiredScannerStateSchema.parse(JSON.parse(payload))
        if (desired.version < appliedVersion)
          return logger.warn({ version: desired.version }, 'an older desired state was refused')
        appliedVersion = desired.version
        if (desired.content !== null) void updater.update(desired.content)
        void flushes.apply(desired.flushes)
      },
      'verdicts.news': exchange.onNews,
    },
    onState: ({ state }) => {
      if (state !== 'online') return
      http.renewCertificate()
      exchange.sync()
    },
  })

  async function keepUp(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      exchange.sync()
      await store
        .maintain(Date.now())
        .catch((error: unknown) => logger.error({ error }, 'the verdict cache could not be tidied'))
      await sleep(maintainMs, signal).catch(() => undefined)
    }
  }

  await updater.resume()
  await listen(http.server, config)
  const address = http.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.port
  process.stdout.write(`${JSON.stringify({ ready: true, id: identity.current().id, port })}\n`)
  const stopping = new AbortController()
  onShutdown(() => stopping.abort())
  void keepUp(stopping.signal)
  await link.run(stopping.signal)
  keptJudging.stop()
  http.server.close()
  http.server.closeIdleConnections()
  pool.close()
  kept.close()
  await sleep(100)
  http.server.closeAllConnections()
}

function listen(
  server: ReturnType<typeof createScannerServer>['server'],
  config: ScannerConfig,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        'code' in error && error.code === 'EADDRINUSE'
          ? new AppError('port_in_use', { address: `${config.bind}:${config.port}` })
          : error,
      ),
    )
    server.listen(config.port, config.bind, resolve)
  })
}

async function main(): Promise<void> {
  const [command = 'run', ...args] = process.argv.slice(2)
  if (command === 'worker') return runWorker(args[0] ?? '')
  const config = readScannerConfig(process.env)
  if (command === 'enroll') return await enrolScanner(config, args)
  if (command === 'run') return await runScanner(config)
  throw new AppError('invalid_request', { problems: `unknown command ${command}; known: run, enroll` })
}

try {
  await main()
  if (process.argv[2] !== 'worker') process.exit(0)
} catch (error) {
  const text =
    error instanceof AppError
      ? `${errorMessage(error.code, error.params)} [${error.code}]`
      : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`scanner: ${text}\n`)
  process.exit(1)
}
