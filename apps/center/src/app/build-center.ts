import { createLogger, type Logger, systemClock } from '@ringwall/runtime'
import type { Kysely } from 'kysely'
import type { CenterConfig } from '../config.ts'
import { createAlarms } from '../core/alarms.ts'
import { createAudit } from '../core/audit.ts'
import { createContentSource } from '../core/content.ts'
import type { Core, DatabaseFacts, Figures } from '../core/core.ts'
import { createLiveHub } from '../core/live.ts'
import type { Pki } from '../core/pki.ts'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import { createIngest } from '../gateway/ingest.ts'
import { maintainPartitions } from '../gateway/partitions.ts'
import { createHttpServer } from '../http/server.ts'
import { createAuthenticate } from '../slices/access/access.ts'
import { latestAlarms } from '../slices/alarms/alarms.ts'
import { createDesired } from '../slices/fleet/desired-state.ts'
import { createEnrolTokens } from '../slices/fleet/enrol-tokens.ts'
import { createEnrolment } from '../slices/fleet/enrolment.ts'
import { createMachines } from '../slices/inventory/machines.ts'
import { latestScans } from '../slices/malware/scan-rows.ts'
import { startJobs } from './jobs.ts'
import { migrateCenter } from './migrate-center.ts'
import type { CenterSlice, Handlers, SliceParts } from './slice.ts'
import { slices as allSlices } from './slices.ts'

const sweepMs = 5_000
const certificateCheckMs = 3_600_000
const contentLookMs = 1_000

export type CenterOptions = {
  config: CenterConfig
  db: Kysely<unknown>
  databaseFacts: DatabaseFacts
  pki: Pki
  version: string
  logger?: Logger
  /** Others than those of this center, for tests. */
  slices?: readonly CenterSlice[]
}

export type Center = {
  core: Core
  gateway: Gateway
  /** The ports in use: those of the configuration, or free ones where that says 0. */
  listen: () => Promise<{ port: number; gatewayPort: number }>
  close: () => Promise<void>
}

/** Puts a center together: brings the schema up to date, makes core services, slices, gateway and HTTP server. */
export async function buildCenter(options: CenterOptions): Promise<Center> {
  const { config, db, databaseFacts, pki, version, slices = allSlices } = options
  const clock = systemClock
  const logger = options.logger ?? createLogger({ name: 'center', level: config.logLevel })
  await migrateCenter(db, slices)
  await maintainPartitions(db, clock.nowMs(), config.eventDays)

  const live = createLiveHub()
  const figures: Figures = {
    eventsCommitted: 0,
    unknownMessages: 0,
    refusedConnections: 0,
    startedAtMs: clock.nowMs(),
  }
  const machines = createMachines()
  const alarms = createAlarms(live)
  const audit = createAudit(db)
  const parts: SliceParts[] = []
  const coreNow = () => core
  const certificate = await pki.server()
  const contentSource = createContentSource(config.contentDir, pki, logger)
  const gateway = createGateway({
    core: coreNow,
    slices: () => parts,
    ingest: createIngest({ db, clock, slices: () => parts, figures }),
    enrol: createEnrolment({ db, pki, machines, clock, live }),
    pushDesired: async (id) => await desired.push(id),
    certificate,
    caPem: pki.caPem,
  })
  const desired = createDesired({ db, pki, links: gateway.links, logger, core: coreNow, slices: () => parts })
  const core: Core = {
    config,
    logger,
    clock,
    db,
    databaseFacts,
    pki,
    live,
    audit,
    alarms,
    machines,
    enrolTokens: createEnrolTokens({ config, pki, clock }),
    desired,
    figures,
    version,
    content: contentSource.look().content,
    links: gateway.links,
    related: {
      latestScans: async () => await latestScans(db, 5),
      latestAlarms: async () => await latestAlarms(db, 5),
    },
  }
  parts.push(...slices.map((slice) => slice.create(core)))
  const handlers = Object.assign({}, ...parts.map((part) => part.handlers)) as Handlers
  const http = await createHttpServer({
    handlers,
    authenticate: createAuthenticate(db),
    audit,
    live,
    logger,
    clock,
    version,
    consoleDir: config.consoleDir,
    agentPackagePath: config.agentPackagePath,
    certificate: { ...certificate, certificatePem: `${certificate.certificatePem}\n${pki.caPem}` },
  })

  const followContent = async () => {
    const { content, isNew } = contentSource.look()
    if (!isNew) return
    core.content = content
    desired.changed('all')
  }
  const stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()
  const renewCertificate = async () => {
    await gateway.renewCertificate()
    const { certificatePem, keyPem } = await pki.server()
    if ('setSecureContext' in http.server)
      (http.server as { setSecureContext: (context: object) => void }).setSecureContext({
        key: keyPem,
        cert: `${certificatePem}\n${pki.caPem}`,
      })
  }
  return {
    core,
    gateway,
    listen: async () => {
      const gatewayPort = await gateway.listen(config.bind, config.gatewayPort)
      const address = new URL(await http.listen({ host: config.bind, port: config.port }))
      const jobs = parts.flatMap((part) => part.jobs ?? [])
      startJobs(
        [
          ...jobs,
          { name: 'content', everyMs: contentLookMs, run: followContent },
          { name: 'sweep', everyMs: sweepMs, run: gateway.sweep },
          { name: 'server certificate', everyMs: certificateCheckMs, run: renewCertificate },
        ],
        logger,
        stopping.signal,
      )
      running = Promise.all(
        parts.map(
          async ({ run }) =>
            await run?.(stopping.signal).catch((error: unknown) => logger.error({ error }, 'a slice ended')),
        ),
      )
      return { port: Number(address.port || 443), gatewayPort }
    },
    close: async () => {
      stopping.abort()
      await gateway.close()
      await running
      http.server.closeAllConnections?.()
      await http.close()
    },
  }
}
