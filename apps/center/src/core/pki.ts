import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { join } from 'node:path'
import {
  certificateFingerprint,
  createCa,
  createCsr,
  generateKeyPem,
  generateSigningKey,
  identityUri,
  issueCertificate,
  makePrivateDirectory,
  readJsonFile,
  renewalDueAt,
  type SigningKey,
  writeJsonFile,
} from '@ringwall/runtime'
import { z } from 'zod'

const clientDays = 30
const serverDays = 365
const caDays = 3650

const pair = z.object({ certificatePem: z.string(), keyPem: z.string() })
const signingKey = z.object({ privatePem: z.string(), publicPem: z.string() })
const authoritySchema = z.object({ ca: pair, policyKey: signingKey, contentKey: signingKey })
const serverSchema = pair.extend({ hostNames: z.array(z.string()) })

export type ServerCertificate = { certificatePem: string; keyPem: string }
export type IssuedCertificate = {
  certificatePem: string
  serial: string
  notAfter: Date
  fingerprint: string
}

export type Pki = {
  caPem: string
  caHash: string
  policyKey: SigningKey
  contentKey: SigningKey
  /** Certificate of the console and the gateway; renewed when it falls due. */
  server: () => Promise<ServerCertificate>
  /** A certificate for an agent or scanner. Throws csr_invalid. */
  issue: (csrPem: string, kind: 'agent' | 'scanner', id: string) => Promise<IssuedCertificate>
}

/**
 * Opens the center's own authority, made at the first start: CA, server certificate, and the keys that sign
 * policy and content. Everything is in two files of `dir`, readable by the center alone.
 */
export async function openPki(options: { dir: string; hostNames: string[] }): Promise<Pki> {
  const { dir, hostNames } = options
  makePrivateDirectory(dir)
  const authorityPath = join(dir, 'authority.json')
  const authority = readJsonFile(authorityPath, authoritySchema) ?? {
    ca: await createCa({ commonName: 'Ringwall CA', days: caDays }),
    policyKey: generateSigningKey(),
    contentKey: generateSigningKey(),
  }
  writeJsonFile(authorityPath, authority, { mode: 0o600 })
  const { ca } = authority

  async function server(): Promise<ServerCertificate> {
    const path = join(dir, 'server.json')
    const stored = readJsonFile(path, serverSchema)
    const isGood =
      stored !== undefined &&
      hostNames.every((name) => stored.hostNames.includes(name)) &&
      renewalDueAt(stored.certificatePem).getTime() > Date.now()
    if (isGood) return stored
    const keyPem = generateKeyPem()
    const certificatePem = await issueCertificate({
      ca,
      csrPem: await createCsr(keyPem, 'center'),
      commonName: 'Ringwall center',
      sanUris: [identityUri('center')],
      sanDns: hostNames.filter((name) => isIP(name) === 0),
      sanIps: hostNames.filter((name) => isIP(name) !== 0),
      days: serverDays,
      usages: ['server'],
    })
    writeJsonFile(path, { certificatePem, keyPem, hostNames }, { mode: 0o600 })
    return { certificatePem, keyPem }
  }

  return {
    caPem: ca.certificatePem,
    caHash: certificateFingerprint(ca.certificatePem),
    policyKey: authority.policyKey,
    contentKey: authority.contentKey,
    server,
    issue: async (csrPem, kind, id) => {
      // A scanner serves HTTPS to agents with the same certificate.
      const usages: ('client' | 'server')[] = kind === 'scanner' ? ['client', 'server'] : ['client']
      const certificatePem = await issueCertificate({
        ca,
        csrPem,
        commonName: `Ringwall ${kind}`,
        sanUris: [identityUri(kind, id)],
        days: clientDays,
        usages,
      })
      const certificate = new X509Certificate(certificatePem)
      return {
        certificatePem,
        serial: certificate.serialNumber.toLowerCase(),
        notAfter: new Date(certificate.validTo),
        fingerprint: certificateFingerprint(certificate.raw),
      }
    },
  }
}
