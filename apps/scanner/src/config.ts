import { availableParallelism, homedir, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { AppError, scannerLimits } from '@ringwall/contracts'
import { logLevels, parseAddress, parseSizeBytes } from '@ringwall/runtime'
import { z } from 'zod'

const sizeBytes = z.string().transform((text, context) => {
  const value = parseSizeBytes(text)
  if (value === undefined) context.addIssue({ code: 'custom', message: `${text} is no size such as 512MiB` })
  return value ?? 0
})

const environmentSchema = z.object({
  RINGWALL_HOME: z.string().optional(),
  RINGWALL_LOG_LEVEL: z.enum(logLevels).default('info'),
  RINGWALL_SCANNER_BIND: z.string().default('0.0.0.0'),
  RINGWALL_SCANNER_PORT: z.coerce.number().int().min(0).max(65_535).default(8445),
  /** Where agents reach this scanner, host:port separated by commas; the machine's own addresses by default. */
  RINGWALL_SCANNER_ADDRESSES: z.string().default(''),
  RINGWALL_SCANNER_WORKERS: z.coerce.number().int().min(1).max(256).optional(),
  RINGWALL_SCANNER_DEADLINE_MS: z.coerce.number().int().min(100).max(600_000).default(30_000),
  RINGWALL_SCANNER_MAX_CONTENT: sizeBytes.default(scannerLimits.maxContentBytes),
  RINGWALL_SCANNER_IN_FLIGHT: sizeBytes.default(256 * 1024 * 1024),
  /** Verdicts kept in memory, 60 to 75 bytes each; beyond it the oldest go. */
  RINGWALL_SCANNER_CACHE_ENTRIES: z.coerce.number().int().min(1000).max(200_000_000).default(16_000_000),
  /** Share of disk that contents under way may use. */
  RINGWALL_SCANNER_TEMP_BYTES: sizeBytes.default(8 * 1024 ** 3),
  /** Disk for manifests that clones may take over. */
  RINGWALL_SCANNER_MANIFEST_BYTES: sizeBytes.default(2 * 1024 ** 3),
  /** Disk for clean contents that can be judged again without a machine; 0 keeps none. */
  RINGWALL_SCANNER_KEEP_BYTES: sizeBytes.default(0),
})

export type ScannerConfig = {
  dir: string
  logLevel: (typeof logLevels)[number]
  bind: string
  port: number
  addresses: { host: string; port: number }[]
  workers: number
  deadlineMs: number
  maxContentBytes: number
  inFlightBytes: number
  tempBytes: number
  cacheEntries: number
  manifestBytes: number
  keepBytes: number
}

/** Addresses by which others can reach this machine, loopback last. */
function ownAddresses(port: number): { host: string; port: number }[] {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
  const usable = all
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address)
  return [...usable.slice(0, 8), '127.0.0.1'].map((host) => ({ host, port }))
}

/** Reads the environment once. Throws config_invalid with every problem. */
export function readScannerConfig(environment: NodeJS.ProcessEnv): ScannerConfig {
  const parsed = environmentSchema.safeParse(environment)
  if (!parsed.success)
    throw new AppError('config_invalid', {
      problems: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
    })
  const values = parsed.data
  const home =
    values.RINGWALL_HOME ??
    (process.getuid?.() === 0 ? '/var/lib/ringwall' : join(homedir(), '.local/share/ringwall'))
  const named = values.RINGWALL_SCANNER_ADDRESSES.split(',').filter((text) => text.trim() !== '')
  return {
    dir: join(home, 'scanner'),
    logLevel: values.RINGWALL_LOG_LEVEL,
    bind: values.RINGWALL_SCANNER_BIND,
    port: values.RINGWALL_SCANNER_PORT,
    addresses:
      named.length > 0
        ? named.map((text) => parseAddress(text, values.RINGWALL_SCANNER_PORT))
        : ownAddresses(values.RINGWALL_SCANNER_PORT),
    workers: values.RINGWALL_SCANNER_WORKERS ?? availableParallelism(),
    deadlineMs: values.RINGWALL_SCANNER_DEADLINE_MS,
    maxContentBytes: values.RINGWALL_SCANNER_MAX_CONTENT,
    inFlightBytes: values.RINGWALL_SCANNER_IN_FLIGHT,
    tempBytes: values.RINGWALL_SCANNER_TEMP_BYTES,
    cacheEntries: values.RINGWALL_SCANNER_CACHE_ENTRIES,
    manifestBytes: values.RINGWALL_SCANNER_MANIFEST_BYTES,
    keepBytes: values.RINGWALL_SCANNER_KEEP_BYTES,
  }
}
