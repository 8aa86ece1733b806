import { homedir } from 'node:os'
import { join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { logLevels, parseSizeBytes } from '@ringwall/runtime'
import { z } from 'zod'

const sizeBytes = z.string().transform((text, context) => {
  const value = parseSizeBytes(text)
  if (value === undefined) context.addIssue({ code: 'custom', message: `${text} is no size such as 64MiB` })
  return value ?? 0
})

const environmentSchema = z.object({
  RINGWALL_HOME: z.string().optional(),
  RINGWALL_LOG_LEVEL: z.enum(logLevels).default('info'),
  RINGWALL_AGENT_SPOOL: sizeBytes.default(64 * 1024 * 1024),
  /** How long a scan waits for a scanner to come back before it ends as failed. */
  RINGWALL_AGENT_SCANNER_PATIENCE_SECONDS: z.coerce.number().int().min(1).max(86_400).default(600),
  /** Overrides what the platform says of this machine's instance, where the platform tells it wrongly. */
  RINGWALL_INSTANCE_ID: z.string().max(200).optional(),
  /** Mount points that real-time protection and the journal watch, with ':' between; 'all' local ones; 'none'. */
  RINGWALL_AGENT_WATCH: z.string().max(4000).default('all'),
  /** Set by systemd: what `ringwall agent ended` left there. */
  RUNTIME_DIRECTORY: z.string().optional(),
  /** The process that runs center, scanner and agent of one machine: none of its children is ever held. */
  RINGWALL_SUPERVISOR_PID: z.coerce.number().int().min(2).optional(),
})

export type AgentConfig = {
  dir: string
  logLevel: (typeof logLevels)[number]
  spoolBytes: number
  scannerPatienceMs: number
  instanceId: string | undefined
  watchedMounts: string[] | 'all'
  supervisorPid: number | undefined
  runtimeDir: string | undefined
}

const readWatch = (text: string): string[] | 'all' =>
  text === 'all' ? text : text.split(':').filter((path) => path.startsWith('/'))

/** Reads the environment once. Throws config_invalid with every problem. */
export function readAgentConfig(environment: NodeJS.ProcessEnv): AgentConfig {
  const parsed = environmentSchema.safeParse(environment)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new AppError('config_invalid', { problems: problems.join('; ') })
  }
  const values = parsed.data
  const isRoot = process.getuid?.() === 0
  const home =
    values.RINGWALL_HOME ?? (isRoot ? '/var/lib/ringwall' : join(homedir(), '.local/share/ringwall'))
  return {
    dir: join(home, 'agent'),
    logLevel: values.RINGWALL_LOG_LEVEL,
    spoolBytes: values.RINGWALL_AGENT_SPOOL,
    scannerPatienceMs: values.RINGWALL_AGENT_SCANNER_PATIENCE_SECONDS * 1000,
    instanceId: values.RINGWALL_INSTANCE_ID,
    watchedMounts: readWatch(values.RINGWALL_AGENT_WATCH),
    supervisorPid: values.RINGWALL_SUPERVISOR_PID,
    runtimeDir: values.RUNTIME_DIRECTORY,
  }
}
