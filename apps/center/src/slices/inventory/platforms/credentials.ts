import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AppError, type PlatformCredentials, platformCredentialsSchema } from '@ringwall/contracts'
import { makePrivateDirectory, writeFileAtomic } from '@ringwall/runtime'

const keyName = 'platform-credentials.key'
const keyBytes = 32
const ivBytes = 12
const tagBytes = 16
/** First byte of a sealed value; another layout gets another one. */
const layout = 1

export type CredentialSealer = {
  seal: (platformId: string, credentials: PlatformCredentials) => Buffer
  /** Throws platform_credentials_lost when the key or the row is another one. */
  open: (platform: { id: string; name: string }, sealed: Buffer) => PlatformCredentials
}

function loadKey(dir: string): Buffer {
  const path = join(dir, keyName)
  if (!existsSync(path)) {
    makePrivateDirectory(dir)
    writeFileAtomic(path, randomBytes(keyBytes).toString('base64'), { mode: 0o600 })
  }
  chmodSync(path, 0o600)
  const key = Buffer.from(readFileSync(path, 'utf8'), 'base64')
  if (key.length !== keyBytes) throw new AppError('file_damaged', { path, reason: 'not a key of 32 bytes' })
  return key
}

/**
 * AES-256-GCM (NIST SP 800-38D) under a key that lies outside of the database, with the platform's id as additional data: a copy of the database
 * alone opens nothing, and a value moved to another row opens nowhere. `dir`: where the key file is, made at first use.
 */
export function createCredentialSealer(dir: string): CredentialSealer {
  let key: Buffer | undefined
  const keyNow = () => {
    key ??= loadKey(dir)
    return key
  }
  return {
    seal: (platformId, credentials) => {
      const iv = randomBytes(ivBytes)
      const cipher = createCipheriv('aes-256-gcm', keyNow(), iv).setAAD(Buffer.from(platformId))
      const body = Buffer.concat([cipher.update(JSON.stringify(credentials)), cipher.final()])
      return Buffer.concat([Buffer.of(layout), iv, cipher.getAuthTag(), body])
    },
    open: (platform, sealed) => {
      try {
        if (sealed[0] !== layout) throw new TypeError('unknown layout')
        const bodyAt = 1 + ivBytes + tagBytes
        const decipher = createDecipheriv('aes-256-gcm', keyNow(), sealed.subarray(1, 1 + ivBytes))
          .setAAD(Buffer.from(platform.id))
          .setAuthTag(sealed.subarray(1 + ivBytes, bodyAt))
        const body = Buffer.concat([decipher.update(sealed.subarray(bodyAt)), decipher.final()])
        return platformCredentialsSchema.parse(JSON.parse(body.toString()))
      } catch {
        // The cause stays here: it may quote what was opened.
        throw new AppError('platform_credentials_lost', { name: platform.name })
      }
    },
  }
}
