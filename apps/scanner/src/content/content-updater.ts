import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { AppError, type DesiredScannerState } from '@ringwall/contracts'
import { type ContentPack, decodePack } from '@ringwall/engines'
import {
  type IdentityStore,
  identityUri,
  type Logger,
  makePrivateDirectory,
  readJsonFile,
  serverIdentityCheck,
  tlsErrorToAppError,
  verify,
  writeFileAtomic,
  writeJsonFile,
} from '@ringwall/runtime'
import { z } from 'zod'

const timeoutMs = 120_000
type Wanted = NonNullable<DesiredScannerState['content']>
const currentSchema = z.object({ version: z.string(), signature: z.string() })

/** Content packs on disk: the newest that verified and loaded stays in use until a better one does. */
export function createContentUpdater(options: {
  dir: string
  identity: IdentityStore
  load: (packPath: string, pack: ContentPack) => Promise<void>
  logger: Logger
}) {
  const { dir, identity, logger } = options
  makePrivateDirectory(dir)
  const currentPath = join(dir, 'current.json')
  const packPath = (version: string) => join(dir, `${version}.pack`)
  let inUse: string | undefined
  let lastError: AppError | undefined

  function checkSignature(bytes: Uint8Array, signature: string): void {
    if (!verify(identity.current().contentKeyPem, bytes, signature))
      throw new AppError('signature_invalid', { what: 'content pack' })
  }

  function download(wanted: Wanted): Promise<Buffer> {
    const { center, keyPem, certificatePem, caPem } = identity.current()
    const address = `${center.host}:${center.port}`
    return new Promise((resolve, reject) => {
      const call = request({
        ...center,
        path: `/content/${wanted.version}`,
        key: keyPem,
        cert: certificatePem,
        ca: caPem,
        checkServerIdentity: serverIdentityCheck(identityUri('center')),
        timeout: timeoutMs,
      })
      call.on('timeout', () => call.destroy(new AppError('timeout', { what: address, timeoutMs })))
      call.on('error', (error) => reject(tlsErrorToAppError(error, address)))
      call.on('response', (response) => {
        if (response.statusCode !== 200)
          return call.destroy(
            new AppError('unavailable', { what: `${address} (HTTP ${response.statusCode})` }),
          )
        const chunks: Buffer[] = []
        let received = 0
        response.on('data', (chunk: Buffer) => {
          received += chunk.length
          if (received > wanted.sizeBytes)
            call.destroy(
              new AppError('content_too_large', { sizeBytes: received, maxBytes: wanted.sizeBytes }),
            )
          chunks.push(chunk)
        })
        response.on('end', () => resolve(Buffer.concat(chunks)))
      })
      call.end()
    })
  }

  async function take(bytes: Buffer, version: string, signature: string): Promise<void> {
    checkSignature(bytes, signature)
    const pack = decodePack(bytes)
    if (pack.version !== version)
      throw new AppError('content_invalid', { reason: 'its version is not the announced one' })
    if (!existsSync(packPath(version))) writeFileAtomic(packPath(version), bytes)
    await options.load(packPath(version), pack)
    writeJsonFile(currentPath, { version, signature })
    inUse = version
    for (const name of readdirSync(dir))
      if (name.endsWith('.pack') && name !== `${version}.pack`) rmSync(join(dir, name), { force: true })
  }

  return {
    /** Error of the last pack that was refused; undefined once one was taken. */
    problem: () => lastError,
    version: () => inUse ?? '',

    /** Loads the pack that was in use before a restart. */
    async resume(): Promise<void> {
      const current = readJsonFile(currentPath, currentSchema)
      if (current === undefined || !existsSync(packPath(current.version))) return
      try {
        await take(readFileSync(packPath(current.version)), current.version, current.signature)
      } catch (error) {
        logger.error({ error }, 'the stored content pack cannot be used')
        rmSync(packPath(current.version), { force: true })
      }
    },

    /** Brings the wanted content into use. A refused pack leaves the last good one in place and is told in health. */
    async update(wanted: Wanted): Promise<void> {
      if (wanted.version === inUse) return
      try {
        const bytes = await download(wanted)
        if (createHash('sha256').update(bytes).digest('hex') !== wanted.sha256)
          throw new AppError('hash_mismatch', { actual: 'other', expected: wanted.sha256 })
        await take(bytes, wanted.version, wanted.signature)
        lastError = undefined
        logger.info({ version: wanted.version }, 'content in use')
      } catch (error) {
        lastError =
          error instanceof AppError
            ? error
            : new AppError('content_invalid', { reason: 'it could not be taken' }, { cause: error })
        logger.error({ error }, 'a content pack was refused')
      }
    },
  }
}
