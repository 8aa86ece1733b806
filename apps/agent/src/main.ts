import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { AppError, errorMessage, isAppError } from '@ringwall/contracts'
import {
  createLinkClient,
  createLogger,
  enrol,
  hasIdentity,
  makePrivateDirectory,
  onShutdown,
  openIdentity,
  removeUnfinishedFiles,
  Spool,
  systemClock,
} from '@ringwall/runtime'
import type { AgentCore } from './app/slice.ts'
import { slices } from './app/slices.ts'
import { type AgentConfig, readAgentConfig } from './config.ts'
import { createCapsMeter } from './core/caps.ts'
import { openDesiredStore } from './core/desired-store.ts'
import { createEvents } from './core/events.ts'
import { createKeptFiles } from './core/kept-files.ts'
import { lockState } from './core/lock.ts'
import { createMemoryKeeper } from './core/memory.ts'
import { createModuleMeter } from './core/modules.ts'
import { createLoadMeter } from './core/own-load.ts'
import { readTemplate } from './core/template-file.ts'
import { readBootId, readFacts, readInstanceId } from './platform/linux.ts'
import { sealTemplate } from './slices/malware/seal.ts'

const softwareVersion = process.env.RINGWALL_VERSION ?? '0.0.0'

async function enrolAgent(config: AgentConfig, args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { center: { type: 'string' }, token: { type: 'string' }, 'ca-hash': { type: 'string' } },
  })
  const { center, token, 'ca-hash': caHash } = values
  if (center === undefined || token === undefined || caHash === undefined)
    throw new AppError('invalid_request', { problems: 'enroll needs --center, --token and --ca-hash' })
  const { id } = await enrolAt(config, { center, token, caHash })
  process.stdout.write(`${JSON.stringify({ enrolled: true, id })}\n`)
}

/** Enrols; a copy of a sealed image names the machine that it was made from. */
async function enrolAt(config: AgentConfig, at: { center: string; token: string; caHash: string }) {
  const template = readTemplate(config.dir)
  return await enrol({
    ...at,
    role: 'agent',
    softwareVersion,
    facts: readFacts(),
    dir: config.dir,
    ...(template === undefined ? {} : { templateId: template.templateId }),
  })
}

/** The first start of a copy of an image that was sealed with its token. */
async function enrolCopy(config: AgentConfig): Promise<void> {
  const kept = hasIdentity(config.dir) ? null : (readTemplate(config.dir)?.enrol ?? null)
  if (kept !== null) await enrolAt(config, kept)
}

/** Makes a golden image of this machine and says what was done. */
async function seal(config: AgentConfig, args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { 'keep-token': { type: 'string' } } })
  process.stdout.write(`${JSON.stringify(await sealTemplate(config, values['keep-token']))}\n`)
}

/** Runs the agent until a signal ends it; it protects with its last good state whether the center answers or not. */
async function runAgent(config: AgentConfig): Promise<void> {
  const logger = createLogger({ name: 'agent', level: config.logLevel })
  await enrolCopy(config)
  const identity = openIdentity(config.dir, 'agent')
  makePrivateDirectory(config.dir)
  lockState(config.dir)
  removeUnfinishedFiles(config.dir)
  const spool = Spool.open({ dir: join(config.dir, 'spool'), capBytes: config.spoolBytes, logger })
  const files = createKeptFiles(logger)
  const store = openDesiredStore(config.dir, identity, files)
  const load = createLoadMeter()
  const capsMeter = createCapsMeter({ nowMs: systemClock.nowMs, runtimeDir: config.runtimeDir })
  const events = createEvents({
    spool,
    clock: systemClock,
    logger,
    send: (type, body) => link.send(type, body),
  })

  const modules = createModuleMeter({
    samples: async () => (await Promise.all(parts.map(async (part) => (await part.usage?.()) ?? []))).flat(),
    events: () => events.reported(),
  })
  const problems = (ofCaps: string[]) =>
    [
      ...new Set([
        ...ofCaps,
        ...parts.flatMap((part) => part.problems?.() ?? []),
        ...(events.isDiskFull() || files.isDiskFull() ? ['disk_full'] : []),
      ]),
    ].slice(0, 32)
  const link = createLinkClient({
    identity,
    logger,
    hello: () => ({
      softwareVersion,
      instanceId: config.instanceId ?? readInstanceId(),
      bootId: readBootId(),
      facts: readFacts(),
      appliedVersion: store.current()?.version ?? 0,
    }),
    heartbeat: () => {
      const { records, bytes, droppedByClass } = spool.stats()
      const { caps, problems: ofCaps } = capsMeter()
      const now = problems(ofCaps)
      return {
        state: now.length === 0 ? 'ok' : 'degraded',
        problems: now,
        ...load(),
        spoolRecords: records,
        spoolBytes: bytes,
        droppedRecords: Object.values(droppedByClass).reduce((sum, count) => sum + count, 0),
        unknownMessages: link.unknownMessages(),
        ...Object.assign({}, ...parts.map((part) => part.figures?.() ?? {})),
        ...(caps === undefined ? {} : { caps }),
        modules: modules.usage(),
      }
    },
    handlers: {
      welcome: ({ credits }) => events.onWelcome(credits),
      ack: events.onAck,
      desired: (signed) => {
        let version = store.current()?.version ?? 0
        let errorCode: string | null = null
        try {
          const next = store.accept(signed)
          version = next.version
          for (const part of parts) part.apply(next)
        } catch (error) {
          logger.error({ error }, 'a desired state was refused')
          errorCode = isAppError(error) ? error.code : 'internal'
        }
        link.send('applied', {
          version,
          hash: createHash('sha256').update(signed.payload).digest('hex'),
          errorCode,
        })
      },
    },
    onSplit: (newId, parentId) =>
      logger.warn({ newId, parentId }, 'this machine is a copy and has its own identity now'),
    onState: ({ state }) => {
      if (state === 'offline') events.onOffline()
    },
  })
  const core: AgentCore = {
    config,
    logger,
    clock: systemClock,
    identity,
    files,
    link,
    report: events.report,
    desired: store.current,
  }
  const parts = slices.map((slice) => slice.create(core))
  const kept = store.current()
  if (kept !== undefined) for (const part of parts) part.apply(kept)

  const memory = createMemoryKeeper({ logger, isBusy: () => parts.some((part) => part.isBusy?.() ?? false) })

  process.stdout.write(`${JSON.stringify({ ready: true, id: identity.current().id })}\n`)
  const stopping = new AbortController()
  onShutdown(() => stopping.abort())
  await link.run(stopping.signal)
  modules.stop()
  memory.stop()
  await Promise.all(parts.map(async (part) => await part.stop?.()))
  spool.close()
}

async function main(): Promise<void> {
  const config = readAgentConfig(process.env)
  const [command = 'run', ...args] = process.argv.slice(2)
  if (command === 'enroll') return await enrolAgent(config, args)
  if (command === 'run') return await runAgent(config)
  if (command === 'seal') return await seal(config, args)
  throw new AppError('invalid_request', { problems: `unknown command ${command}; known: run, enroll, seal` })
}

try {
  await main()
  process.exit(0)
} catch (error) {
  const text =
    error instanceof AppError
      ? `${errorMessage(error.code, error.params)} [${error.code}]`
      : String(error instanceof Error ? error.stack : error)
  process.stderr.write(`agent: ${text}\n`)
  process.exit(1)
}
