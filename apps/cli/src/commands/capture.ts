import { createWriteStream } from 'node:fs'
import { AppError } from '@ringwall/contracts'
import { capture, connectors } from '@ringwall/platforms'
import { silentLogger, systemClock } from '@ringwall/runtime'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { askCredentials, type ConnectionOptions, isAccepted, platformKindOf } from '../platform-connection.ts'
import { fill } from '../text/text.ts'

const requestsPerSecond = 5

/**
 * `ringwall platform capture`: reads a platform from this machine, without a center, and writes what it answered with every name, address and id replaced. Stops
 * where the platform fails and writes what there is until then.
 */
export async function capturePlatform(
  context: Context,
  options: ConnectionOptions & { output: string },
  signal: AbortSignal,
): Promise<number> {
  const kind = platformKindOf(options.kind)
  const definition = connectors[kind]
  if (definition === undefined) throw new AppError('platform_kind_unavailable', { kind })
  definition.validateAddress(options.address)
  const presented = await definition.fingerprint(options.address, signal)
  if (!isAccepted(context, options, presented)) return exitCodes.usage
  const result = await capture(
    definition,
    {
      address: options.address,
      fingerprint: options.fingerprint ?? presented ?? undefined,
      credentials: await askCredentials(context, options),
      requestsPerSecond,
      clock: systemClock,
      logger: silentLogger,
    },
    signal,
  )
  const { exchanges, counts, failure } = result
  await write(options.output, JSON.stringify(result, null, 1))
  const words = context.text.platform
  context.print(fill(words.captured, { exchanges: exchanges.length, path: options.output }))
  if (counts !== null) context.print(fill(words.preview, { ...counts, templates: '–' }))
  if (failure === null) return exitCodes.ok
  context.note(`${failure.code}: ${failure.message}`)
  return exitCodes.failed
}

/** Only its owner reads it until somebody looked through it. */
async function write(path: string, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const file = createWriteStream(path, { mode: 0o600 })
    file.once('error', reject)
    file.end(text, () => resolve())
  })
}
