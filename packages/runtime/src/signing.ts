import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto'

export type SigningKey = { privatePem: string; publicPem: string }

/** A new Ed25519 key pair (RFC 8032), PKCS#8 and SPKI in PEM. */
export function generateSigningKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

/** The Ed25519 signature of exactly these bytes, base64. */
export function sign(privatePem: string, bytes: Uint8Array): string {
  return signBytes(null, bytes, createPrivateKey(privatePem)).toString('base64')
}

/** Whether `signature` is one of `publicPem` over exactly these bytes. Never throws for a bad signature. */
export function verify(publicPem: string, bytes: Uint8Array, signature: string): boolean {
  const raw = Buffer.from(signature, 'base64')
  return raw.length === 64 && verifyBytes(null, bytes, createPublicKey(publicPem), raw)
}
