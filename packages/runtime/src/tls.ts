import { X509Certificate } from 'node:crypto'
import {
  type ConnectionOptions,
  connect,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls'
import { AppError } from '@ringwall/contracts'
import { certificateFingerprint } from './pki.ts'

const connectTimeoutMs = 10_000

type Address = { host: string; port: number }

/** Connects without trusting anything yet and answers the certificates that the server presents, leaf first. */
function presentedChain({ host, port }: Address): Promise<X509Certificate[]> {
  const address = `${host}:${port}`
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host, port, rejectUnauthorized: false, timeout: connectTimeoutMs, ...serverName(host) },
      () => {
        resolve(chainOf(socket))
        socket.end()
      },
    )
    socket.on('timeout', () =>
      socket.destroy(new AppError('timeout', { what: address, timeoutMs: connectTimeoutMs })),
    )
    socket.on('error', (cause) =>
      reject(cause instanceof AppError ? cause : new AppError('unavailable', { what: address }, { cause })),
    )
  })
}

/** SNI must not be an address (RFC 6066 section 3). */
function serverName(host: string): ConnectionOptions {
  return /^[\d.]+$|:/.test(host) ? {} : { servername: host }
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  for (
    let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
    next?.raw !== undefined;
    next = next.issuerCertificate
  ) {
    const certificate = new X509Certificate(next.raw)
    if (chain.some((seen) => seen.fingerprint256 === certificate.fingerprint256)) break
    chain.push(certificate)
  }
  return chain
}

/** The hash of the CA that a server presents: to be shown to a person, who compares it. */
export async function presentedCaHash(address: Address): Promise<string> {
  const root = (await presentedChain(address)).at(-1)
  if (root === undefined) throw new AppError('unavailable', { what: `${address.host}:${address.port}` })
  return certificateFingerprint(root.raw)
}

/**
 * Learns a server's CA and accepts it only when its SHA-256 is `caHash` and the presented leaf is signed by it.
 * Answers the CA in PEM. Errors: ca_mismatch, certificate_untrusted, clock_skew, unavailable, timeout.
 */
export async function connectPinned(options: Address & { caHash: string; nowMs?: number }): Promise<string> {
  const address = `${options.host}:${options.port}`
  const chain = await presentedChain(options)
  const leaf = chain[0]
  const root = chain.at(-1)
  if (leaf === undefined || root === undefined) throw new AppError('unavailable', { what: address })
  const actual = certificateFingerprint(root.raw)
  if (actual !== options.caHash)
    throw new AppError('ca_mismatch', { address, actual, expected: options.caHash })
  if (!leaf.verify(root.publicKey))
    throw new AppError('certificate_untrusted', { address, reason: 'the CA did not sign it' })
  checkClock(leaf, address, options.nowMs ?? Date.now())
  return root.toString()
}

function checkClock(certificate: X509Certificate, address: string, nowMs: number): void {
  const notBefore = new Date(certificate.validFrom)
  const notAfter = new Date(certificate.validTo)
  if (nowMs >= notBefore.getTime() && nowMs <= notAfter.getTime()) return
  throw new AppError('clock_skew', {
    address,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    now: new Date(nowMs).toISOString(),
  })
}

/** A `checkServerIdentity` that wants one URI name instead of the host name: peers move, identities stay. */
export function serverIdentityCheck(
  expectedUri: string,
): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (host, certificate) => {
    const names = (certificate.subjectaltname ?? '').split(', ')
    if (names.includes(`URI:${expectedUri}`)) return undefined
    return new AppError('certificate_untrusted', { address: host, reason: `it does not name ${expectedUri}` })
  }
}

/** An error of a TLS connection in our words: a clock that is wrong shows as clock_skew, bad trust as certificate_untrusted. */
export function tlsErrorToAppError(error: unknown, address: string): AppError {
  if (error instanceof AppError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'CERT_NOT_YET_VALID' || code === 'CERT_HAS_EXPIRED') {
    return new AppError(
      'clock_skew',
      { address, notBefore: '?', notAfter: '?', now: new Date().toISOString() },
      { cause: error },
    )
  }
  if (/CERT|SIGNATURE|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL/.test(code))
    return new AppError('certificate_untrusted', { address, reason: code }, { cause: error })
  return new AppError('unavailable', { what: address }, { cause: error })
}
