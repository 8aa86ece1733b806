/**
 * Certificates of our own authority: P-256 only (FIPS 186-5), X.509 v3 (RFC 5280). The library that writes them
 * is loaded when it is first needed: an agent needs it once in twenty days.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto'
import { AppError } from '@ringwall/contracts'

const signatureAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 86_400_000
/** Certificates begin a little in the past: machines' clocks differ. */
const backdateMs = 5 * 60_000
/** Share of a certificate's life after which it is renewed. */
const renewalShare = 2 / 3

export type CertificateAuthority = { certificatePem: string; keyPem: string }
export type PeerIdentity = {
  kind: 'agent' | 'scanner' | 'center'
  id: string
  serial: string
  notAfter: Date
  fingerprint: string
}

async function x509() {
  await import('reflect-metadata')
  const library = await import('@peculiar/x509')
  return library
}

type KeyUsage = 'sign' | 'verify'
async function importPrivate(keyPem: string) {
  const der = Buffer.from(keyPem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  return await webcrypto.subtle.importKey('pkcs8', der, signatureAlgorithm, true, [
    'sign',
  ] satisfies KeyUsage[])
}
async function importPublicOf(keyPem: string) {
  const der = createPublicKey(keyPem).export({ type: 'spki', format: 'der' })
  return await webcrypto.subtle.importKey('spki', der, signatureAlgorithm, true, [
    'verify',
  ] satisfies KeyUsage[])
}

/** A new P-256 private key, PKCS#8 in PEM. */
export function generateKeyPem(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString()
}

function newSerial(): string {
  const bytes = randomBytes(16)
  // Positive and never with a leading zero byte, as RFC 5280 section 4.1.2.2 wants it.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

/** A self-signed authority, valid for `days`. */
export async function createCa(options: { commonName: string; days: number }): Promise<CertificateAuthority> {
  const {
    X509CertificateGenerator,
    BasicConstraintsExtension,
    KeyUsagesExtension,
    KeyUsageFlags,
    SubjectKeyIdentifierExtension,
  } = await x509()
  const keyPem = generateKeyPem()
  const keys = { privateKey: await importPrivate(keyPem), publicKey: await importPublicOf(keyPem) }
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${options.commonName}`,
    notBefore: new Date(Date.now() - backdateMs),
    notAfter: new Date(Date.now() + options.days * dayMs),
    signingAlgorithm: signatureAlgorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificatePem: certificate.toString('pem'), keyPem }
}

/** A certificate request (PKCS#10, RFC 2986) for a key. */
export async function createCsr(keyPem: string, commonName: string): Promise<string> {
  const { Pkcs10CertificateRequestGenerator } = await x509()
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: `CN=${commonName}`,
    keys: { privateKey: await importPrivate(keyPem), publicKey: await importPublicOf(keyPem) },
    signingAlgorithm: signatureAlgorithm,
  })
  return request.toString('pem')
}

export type IssueOptions = {
  ca: CertificateAuthority
  csrPem: string
  commonName?: string
  sanUris: string[]
  sanDns?: string[]
  sanIps?: string[]
  days: number
  usages: ('client' | 'server')[]
  /** Hex; a random one of 128 bits unless given. */
  serial?: string
  /** Test certificates may begin or end elsewhere. */
  notBefore?: Date
}

/**
 * A certificate for the key in a request. Only the key is taken from the request; names come from the caller. It
 * never outlives its authority.
 * Throws csr_invalid unless the request is whole, signs itself and has a P-256 key.
 */
export async function issueCertificate(options: IssueOptions): Promise<string> {
  const library = await x509()
  const publicKey = await publicKeyOfRequest(library, options.csrPem)
  const { ca, sanUris, sanDns = [], sanIps = [] } = options
  const issuer = new library.X509Certificate(ca.certificatePem)
  const oids = { client: library.ExtendedKeyUsage.clientAuth, server: library.ExtendedKeyUsage.serverAuth }
  const notBefore = options.notBefore ?? new Date(Date.now() - backdateMs)
  const certificate = await library.X509CertificateGenerator.create({
    serialNumber: options.serial ?? newSerial(),
    subject: `CN=${options.commonName ?? 'ringwall'}`,
    issuer: issuer.subject,
    notBefore,
    notAfter: new Date(
      Math.min(notBefore.getTime() + backdateMs + options.days * dayMs, issuer.notAfter.getTime()),
    ),
    signingAlgorithm: signatureAlgorithm,
    publicKey,
    signingKey: await importPrivate(ca.keyPem),
    extensions: [
      new library.BasicConstraintsExtension(false, undefined, true),
      new library.KeyUsagesExtension(library.KeyUsageFlags.digitalSignature, true),
      new library.ExtendedKeyUsageExtension(options.usages.map((usage) => oids[usage])),
      new library.SubjectAlternativeNameExtension([
        ...sanUris.map((value) => ({ type: 'url' as const, value })),
        ...sanDns.map((value) => ({ type: 'dns' as const, value })),
        ...sanIps.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await library.AuthorityKeyIdentifierExtension.create(issuer),
      await library.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return certificate.toString('pem')
}

async function publicKeyOfRequest(library: Awaited<ReturnType<typeof x509>>, csrPem: string) {
  let reason = 'it cannot be read'
  try {
    const request = new library.Pkcs10CertificateRequest(csrPem)
    const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' })
    reason = 'its key is not P-256'
    if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
      reason = 'it is not signed by its own key'
      if (await request.verify()) return request.publicKey
    }
  } catch (cause) {
    throw new AppError('csr_invalid', { reason }, { cause })
  }
  throw new AppError('csr_invalid', { reason })
}

/** `sha256:` and the hash of a certificate's DER, in hex. */
export function certificateFingerprint(certificate: string | Uint8Array): string {
  const der = typeof certificate === 'string' ? new X509Certificate(certificate).raw : certificate
  return `sha256:${createHash('sha256').update(der).digest('hex')}`
}

export function identityUri(kind: PeerIdentity['kind'], id?: string): string {
  return id === undefined ? `urn:ringwall:${kind}` : `urn:ringwall:${kind}:${id}`
}

/** The URI names in a subjectAltName as Node writes it. A name with a comma comes quoted, and is none of ours. */
export function uriNames(subjectAltName: string | undefined): string[] {
  return (subjectAltName ?? '')
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '')
    .split(', ')
    .flatMap((name) => (name.startsWith('URI:') ? [name.slice(4)] : []))
}

/** Who a certificate of our authority speaks for; undefined unless it has exactly one name of ours. */
export function readIdentity(certificate: X509Certificate): PeerIdentity | undefined {
  const names = uriNames(certificate.subjectAltName).filter((name) => name.startsWith('urn:ringwall:'))
  const match =
    /^urn:ringwall:(?:(center)|(agent|scanner):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))$/.exec(
      names.length === 1 ? (names[0] ?? '') : '',
    )
  if (match === null) return undefined
  return {
    kind: (match[1] ?? match[2]) as PeerIdentity['kind'],
    id: match[3] ?? '',
    serial: certificate.serialNumber.toLowerCase(),
    notAfter: new Date(certificate.validTo),
    fingerprint: certificateFingerprint(certificate.raw),
  }
}

/** When a certificate should be renewed: after two thirds of its life. */
export function renewalDueAt(certificateOrPem: string | X509Certificate): Date {
  const certificate =
    typeof certificateOrPem === 'string' ? new X509Certificate(certificateOrPem) : certificateOrPem
  const fromMs = new Date(certificate.validFrom).getTime()
  return new Date(fromMs + (new Date(certificate.validTo).getTime() - fromMs) * renewalShare)
}
