import { type DestinationStream, destination as fileDestination, pino } from 'pino'

export type Logger = {
  debug: (fields: object, message: string) => void
  info: (fields: object, message: string) => void
  warn: (fields: object, message: string) => void
  error: (fields: object, message: string) => void
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Endings of the names of fields that hold secrets, whatever the case and the separators. */
const secretName =
  /(?:password|passphrase|token|secret|authorization|cookie|privatepem|keypem|privatekey|ratchet)$/
const maxDepth = 6

/** A copy without secrets: cut out wherever a field, at any depth, has such a name. Errors stay as they are. */
function withoutSecrets(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Error) return value
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (depth >= maxDepth) return '[deep]'
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1))
  if ('toJSON' in value) return value
  const isSecret = (name: string) => secretName.test(name.toLowerCase().replaceAll(/[-_]/g, ''))
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      isSecret(name) ? '[secret]' : withoutSecrets(item, depth + 1),
    ]),
  )
}

/** JSON lines on stderr, or to `destination`. Secrets are cut out wherever a field has one of their names. */
export function createLogger(options: {
  name: string
  level: LogLevel
  destination?: DestinationStream
}): Logger {
  return pino(
    {
      name: options.name,
      level: options.level,
      base: { name: options.name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { log: (fields) => withoutSecrets(fields) as Record<string, unknown> },
      serializers: { error: pino.stdSerializers.err },
    },
    options.destination ?? fileDestination({ fd: 2, sync: true }),
  )
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}
