import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { AppError } from '@ringwall/contracts'
import { isDiskFullError } from '@ringwall/runtime'

/** The announced length of a body. Throws invalid_request without one, body_too_large beyond the limit. */
export function announcedBytes(request: IncomingMessage, maxBytes: number): number {
  const sizeBytes = Number(request.headers['content-length'] ?? Number.NaN)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw new AppError('invalid_request', { problems: 'Content-Length is missing' })
  if (sizeBytes > maxBytes) throw new AppError('content_too_large', { sizeBytes, maxBytes })
  return sizeBytes
}

/** Reads a body of exactly `sizeBytes` into memory. Throws upload_truncated. */
export function readBody(request: IncomingMessage, sizeBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const body = Buffer.allocUnsafe(sizeBytes)
    let received = 0
    const fail = (cause?: Error) =>
      reject(new AppError('upload_truncated', { received, expected: sizeBytes }, { cause }))
    // Listeners, not an iterator: of a small body that is the larger part of the work.
    request.on('data', (chunk: Buffer) => {
      received += chunk.copy(body, received)
    })
    request.on('end', () => (received === sizeBytes ? resolve(body) : fail()))
    request.on('error', fail)
    request.on('close', () => request.readableEnded || fail())
    if (request.destroyed) fail()
  })
}

/** Streams a body into a file while hashing it; answers the SHA-256. Throws upload_truncated, disk_full. */
export async function streamBody(request: IncomingMessage, path: string, sizeBytes: number): Promise<Buffer> {
  const hash = createHash('sha256')
  let received = 0
  const file = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      hash.update(chunk)
      received += chunk.length
      await file.appendFile(chunk)
    }
  } catch (cause) {
    if (isDiskFullError(cause)) throw new AppError('disk_full', { path }, { cause })
    throw new AppError('upload_truncated', { received, expected: sizeBytes }, { cause })
  } finally {
    await file.close()
  }
  if (received !== sizeBytes) throw new AppError('upload_truncated', { received, expected: sizeBytes })
  return hash.digest()
}
