import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  AppError,
  desiredScannerStateSchema,
  errorMessage,
  type ScannerHealth,
  scannerLimits,
} from '@ringwall/contracts'
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
import { createManifestRoutes } from './manifests/manifest-routes.ts'
import { openManifestStore } from './manifests/manifest-store.ts'
import { createJudge } from './pipeline/judge.ts'
import { EnginePool } from './pipeline/pool.ts'
import { runWorker } from './pipeline/worker.ts'

const softwareVersion = process.env.RINGWALL_VERSION ?? '0.0.0'
const diskFullShownMs = 60_000

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
  const store = VerdictStore.open(join(config.dir, 'verdicts'))
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
    load: async (packPath, version) => {
      await pool.load(packPath)
      store.useVersion(version)
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
  })
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
    onDiskFull,
    logger,
  })

  function health(): ScannerHealth {
    const { alive, busy, restarts, queueLength } = pool.figures
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
      ...http.figures,
      queueLength,
      rssBytes: process.memoryUsage.rss(),
      problems,
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
      },
    },
    onState: ({ state }) => {
      if (state === 'online') http.renewCertificate()
    },
  })

  await updater.resume()
  await listen(http.server, config)
  const address = http.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.port
  process.stdout.write(`${JSON.stringify({ ready: true, id: identity.current().id, port })}\n`)
  const stopping = new AbortController()
  onShutdown(() => stopping.abort())
  await link.run(stopping.signal)
  http.server.close()
  http.server.closeIdleConnections()
  pool.close()
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
