import { existsSync } from 'node:fs'
import { homedir, hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { logLevels } from '@ringwall/runtime'
import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)
const names = z.string().transform((text) =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== ''),
)

const environmentSchema = z.object({
  RINGWALL_HOME: z.string().optional(),
  RINGWALL_LOG_LEVEL: z.enum(logLevels).default('info'),
  RINGWALL_BIND: z.string().default('0.0.0.0'),
  RINGWALL_PORT: port.default(8443),
  RINGWALL_GATEWAY_PORT: port.default(8444),
  /** Names and addresses under which browsers and agents reach this center, the main one first. */
  RINGWALL_HOST_NAMES: names.optional(),
  DATABASE_URL: z.url().optional(),
  RINGWALL_PG_BIN: names.optional(),
  RINGWALL_EMBEDDED_PG: z.string().optional(),
  RINGWALL_CONTENT_DIR: z.string().optional(),
  RINGWALL_CONNECTIONS_PER_SECOND: z.coerce.number().positive().default(300),
  RINGWALL_ENROLMENTS_PER_SECOND: z.coerce.number().positive().default(100),
  RINGWALL_EVENT_DAYS: z.coerce.number().int().min(1).max(3650).default(90),
  /** Longest silence before a machine counts as offline raises an alarm after a start of the center. */
  RINGWALL_OFFLINE_GRACE_SECONDS: z.coerce.number().int().min(0).max(86_400).default(60),
})

export type CenterConfig = {
  dir: string
  databaseDir: string
  logLevel: (typeof logLevels)[number]
  bind: string
  port: number
  gatewayPort: number
  hostNames: string[]
  databaseUrl: string | undefined
  pgBinDirs: string[]
  embeddedPgDir: string | undefined
  contentDir: string
  consoleDir: string
  /** What `npm run package:agent` makes; may be absent. */
  agentPackagePath: string
  connectionsPerSecond: number
  enrolmentsPerSecond: number
  eventDays: number
  offlineGraceMs: number
}

function ownNames(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
  const usable = addresses
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .map(({ address }) => address)
  return [...new Set(['localhost', hostname(), ...usable, '127.0.0.1', '::1'])]
}

/** The first of the folders beside this program that exists: bundles lie in dist/, sources in apps/. */
function besideProgram(...candidates: string[]): string {
  const found = candidates.map((path) => join(import.meta.dirname, path)).find((path) => existsSync(path))
  return found ?? join(import.meta.dirname, candidates[0] ?? '')
}

/** Reads the environment once. Throws config_invalid with every problem. */
export function readCenterConfig(environment: NodeJS.ProcessEnv): CenterConfig {
  const parsed = environmentSchema.safeParse(environment)
  if (!parsed.success)
    throw new AppError('config_invalid', {
      problems: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
    })
  const values = parsed.data
  const home =
    values.RINGWALL_HOME ??
    (process.getuid?.() === 0 ? '/var/lib/ringwall' : join(homedir(), '.local/share/ringwall'))
  return {
    dir: join(home, 'center'),
    databaseDir: join(home, 'postgres', 'data'),
    logLevel: values.RINGWALL_LOG_LEVEL,
    bind: values.RINGWALL_BIND,
    port: values.RINGWALL_PORT,
    gatewayPort: values.RINGWALL_GATEWAY_PORT,
    hostNames: [...new Set([...(values.RINGWALL_HOST_NAMES ?? []), ...ownNames()])],
    databaseUrl: values.DATABASE_URL,
    pgBinDirs: values.RINGWALL_PG_BIN ?? [],
    embeddedPgDir: values.RINGWALL_EMBEDDED_PG,
    contentDir: values.RINGWALL_CONTENT_DIR ?? besideProgram('../content', '../../../content'),
    agentPackagePath: besideProgram('ringwall-agent.tar.gz', '../../../dist/ringwall-agent.tar.gz'),
    consoleDir: besideProgram('console', '../../../dist/console'),
    connectionsPerSecond: values.RINGWALL_CONNECTIONS_PER_SECOND,
    enrolmentsPerSecond: values.RINGWALL_ENROLMENTS_PER_SECOND,
    eventDays: values.RINGWALL_EVENT_DAYS,
    offlineGraceMs: values.RINGWALL_OFFLINE_GRACE_SECONDS * 1000,
  }
}
