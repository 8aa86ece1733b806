import { type DestinationStream, destination as fileDestination, pino } from 'pino'

export type Logger = {
  debug: (fields: object, message: string) => void
  info: (fields: object, message: string) => void
  warn: (fields: object, message: string) => void
  error: (fields: object, message: string) => void
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const secretNames = [
  'password',
  'token',
  'secret',
  'authorization',
  'cookie',
  'csrfToken',
  'privatePem',
  'keyPem',
]

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
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
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
