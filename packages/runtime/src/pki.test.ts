import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type CertificateAuthority,
  certificateFingerprint,
  createCa,
  createCsr,
  generateKeyPem,
  identityUri,
  issueCertificate,
  readIdentity,
  renewalDueAt,
} from './pki.ts'

const id = '01890a5d-ac96-774b-bcce-b302099a8057'
let ca: CertificateAuthority

beforeAll(async () => {
  ca = await createCa({ commonName: 'Ringwall CA test', days: 3650 })
})

const issue = async (csrPem: string) =>
  await issueCertificate({
    ca,
    csrPem,
    commonName: 'agent',
    sanUris: [identityUri('agent', id)],
    sanDns: ['localhost'],
    sanIps: ['127.0.0.1', '::1'],
    days: 30,
    usages: ['client', 'server'],
  })

describe('certificates', () => {
  it('carry the identity that the caller gives, not what the request asks for', async () => {
    const keyPem = generateKeyPem()
    const certificate = new X509Certificate(await issue(await createCsr(keyPem, 'root of all')))
    expect(certificate.verify(new X509Certificate(ca.certificatePem).publicKey)).toBe(true)
    expect(certificate.subject).toBe('CN=agent')
    expect(readIdentity(certificate)).toMatchObject({
      kind: 'agent',
      id,
      fingerprint: certificateFingerprint(certificate.raw),
    })
    expect(certificate.subjectAltName).toContain('IP Address:127.0.0.1')
  })

  it('fall due for renewal after two thirds of their life', async () => {
    const due = renewalDueAt(await issue(await createCsr(generateKeyPem(), 'a')))
    const days = (due.getTime() - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(19.9)
    expect(days).toBeLessThan(20.1)
  })

  it.each([
    ['junk', async () => 'not a request'],
    [
      'an RSA key',
      async () =>
        generateKeyPairSync('rsa', { modulusLength: 2048 })
          .publicKey.export({ type: 'spki', format: 'pem' })
          .toString(),
    ],
    [
      'a request whose signature was altered',
      async () => {
        const lines = (await createCsr(generateKeyPem(), 'a')).split('\n')
        const der = Buffer.from(lines.filter((line) => !line.startsWith('-')).join(''), 'base64')
        der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1
        return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`
      },
    ],
  ])('are refused for %s', async (_, makeCsr) => {
    await expect(issue(await makeCsr())).rejects.toMatchObject({ code: 'csr_invalid' })
  })

  it('of a stranger name nobody here', async () => {
    const csrPem = await createCsr(generateKeyPem(), 'x')
    const pem = await issueCertificate({
      ca,
      csrPem,
      commonName: 'x',
      sanUris: ['urn:other:agent:1'],
      days: 1,
      usages: ['client'],
    })
    expect(readIdentity(new X509Certificate(pem))).toBeUndefined()
  })
})
