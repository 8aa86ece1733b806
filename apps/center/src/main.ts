import { join } from 'node:path'
import { AppError, errorMessage } from '@ringwall/contracts'
import { assertDurable, createDatabase, type ManagedCluster, startManagedCluster } from '@ringwall/postgres'
import { createLogger, type Logger, makePrivateDirectory, onShutdown } from '@ringwall/runtime'
import { type Kysely, sql } from 'kysely'
import { buildCenter } from './app/build-center.ts'
import { type CenterConfig, readCenterConfig } from './config.ts'
import { openPki } from './core/pki.ts'
import { ensureFirstAdministrator, writeLocalProfile } from './slices/access/access.ts'

const version = process.env.RINGWALL_VERSION ?? '0.0.0'
const poolSize = 12

type OpenDatabase = { db: Kysely<unknown>; cluster: ManagedCluster | undefined; version: string }

async function openDatabase(
  config: CenterConfig,
  logger: Logger,
  signal: AbortSignal,
): Promise<OpenDatabase> {
  const cluster =
    config.databaseUrl === undefined
      ? await startManagedCluster({
          dataDir: config.databaseDir,
          binDirs: config.pgBinDirs,
          embeddedDir: config.embeddedPgDir,
          logger,
          signal,
        })
      : undefined
  const db = createDatabase<unknown>({
    ...(cluster === undefined ? { url: config.databaseUrl ?? '' } : { connection: cluster.connection }),
    poolSize,
    applicationName: 'ringwall-center',
    logger,
  })
  try {
    const { rows } = await sql<{ server_version: string }>`show server_version`.execute(db)
    await assertDurable(db)
    return { db, cluster, version: rows[0]?.server_version ?? '' }
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError(
      'database_unavailable',
      { reason: cause instanceof Error ? cause.message : '' },
      { cause },
    )
  }
}

/** Runs the center until a signal ends it. The first line on standard output says where it serves. */
async function run(config: CenterConfig): Promise<void> {
  const logger = createLogger({ name: 'center', level: config.logLevel })
  const stopping = new AbortController()
  onShutdown(() => stopping.abort())
  makePrivateDirectory(config.dir)
  const pki = await openPki({ dir: join(config.dir, 'pki'), hostNames: config.hostNames })
  const { db, cluster, version: databaseVersion } = await openDatabase(config, logger, stopping.signal)
  const databaseFacts = {
    version: databaseVersion,
    isManaged: cluster !== undefined,
    isEvaluation: cluster?.isEvaluation ?? false,
  }
  const center = await buildCenter({ config, db, databaseFacts, pki, version, logger })
  const firstPassword = await ensureFirstAdministrator(db)
  const { port, gatewayPort } = await center.listen()
  const host = config.hostNames[0] ?? 'localhost'
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  await writeLocalProfile(db, join(config.dir, 'local-profile.json'), {
    url: `https://localhost:${port}`,
    caPem: pki.caPem,
  })
  const ready = {
    ready: true,
    url,
    gateway: `${host}:${gatewayPort}`,
    caHash: pki.caHash,
    firstPassword,
    isEvaluationDatabase: databaseFacts.isEvaluation,
  }
  process.stdout.write(`${JSON.stringify(ready)}\n`)
  await new Promise<void>((resolve, reject) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true })
    // Without its database the center is of no use: it ends, and its supervisor starts both again.
    void cluster?.waitForExit(stopping.signal).then(
      () => reject(new AppError('database_unavailable', { reason: 'the server ended' })),
      () => undefined,
    )
  })
  logger.info({}, 'stopping')
  await center.close()
  await db.destroy()
  await cluster?.stop()
}

try {
  const [command = 'run'] = process.argv.slice(2)
  if (command !== 'run')
    throw new AppError('invalid_request', { problems: `unknown command ${command}; known: run` })
  await run(readCenterConfig(process.env))
  process.exit(0)
} catch (error) {
  const text =
    error instanceof AppError
      ? `${errorMessage(error.code, error.params)} [${error.code}]`
      : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`center: ${text}\n`)
  process.exit(1)
}
