import { createHash, randomBytes } from 'node:crypto'

let lastMs = 0
let counter = 0

/**
 * UUID version 7 (RFC 9562): sorts by time. Within one millisecond of one process a 12-bit counter keeps the
 * order; when it runs over, the millisecond is borrowed from the future.
 */
export function uuidv7(nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs
    counter = randomBytes(2).readUInt16BE() & 0x3ff
  } else {
    counter += 1
    if (counter > 0xfff) {
      lastMs += 1
      counter = 0
    }
  }
  const bytes = randomBytes(16)
  bytes.writeUIntBE(lastMs, 0, 6)
  bytes.writeUInt16BE(0x7000 | counter, 6)
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return formatUuid(bytes)
}

function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}

/** A UUID (version 8, RFC 9562) that is always the same for the same parts: for work that may be done again. */
export function derivedUuid(...parts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  // With its length before it, no part can pass for two.
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part)
  const bytes = hash.digest().subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return formatUuid(bytes)
}

/** A random secret of `sizeBytes` bytes as base64url. */
export function randomToken(sizeBytes = 32): string {
  return randomBytes(sizeBytes).toString('base64url')
}

/** SHA-256 of a secret as hex: what is stored instead of the secret. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
