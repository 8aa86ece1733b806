import { X509Certificate } from 'node:crypto'
import {
  type ConnectionOptions,
  connect,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls'
import { AppError } from '@ringwall/contracts'
import { certificateFingerprint, uriNames } from './pki.ts'

const connectTimeoutMs = 10_000
/** Extended key usage id-kp-serverAuth (RFC 5280 section 4.2.1.12). */
const serverAuthOid = '1.3.6.1.5.5.7.3.1'

type Address = { host: string; port: number }

/** Connects without trusting anything yet and answers the certificates that the server presents, leaf first. */
function presentedChain({ host, port }: Address): Promise<X509Certificate[]> {
  const address = `${host}:${port}`
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, ...serverName(host) }, () => {
      resolve(chainOf(socket))
      socket.end()
    })
    // Of the whole handshake: a server that sends a byte now and then must not hold us.
    const deadline = setTimeout(
      () => socket.destroy(new AppError('timeout', { what: address, timeoutMs: connectTimeoutMs })),
      connectTimeoutMs,
    )
    socket.on('close', () => clearTimeout(deadline))
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
 * Learns a server's CA and accepts it only when its SHA-256 is `caHash` and it vouches for the presented server
 * certificate. The server is not yet asked who it is: connect with the CA and `serverIdentityCheck` for that.
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
  const reason = whyUntrusted(chain)
  if (reason !== undefined) throw new AppError('certificate_untrusted', { address, reason })
  for (const certificate of chain) checkClock(certificate, address, options.nowMs ?? Date.now())
  return root.toString()
}

/** Why a chain, leaf first, is none: each must be signed by the next, which must be a CA; the last by itself. */
function whyUntrusted(chain: X509Certificate[]): string | undefined {
  const leaf = chain[0]
  if (leaf?.keyUsage !== undefined && !leaf.keyUsage.includes(serverAuthOid)) return 'it is not for a server'
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1] ?? certificate
    if (index > 0 && !certificate.ca) return 'it was issued by a certificate that is no CA'
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey))
      return 'the CA did not sign it'
  }
  return undefined
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
    if (uriNames(certificate.subjectaltname).includes(expectedUri)) return undefined
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
