import { createServer, type Server } from 'node:tls'
import { isAppError } from '@ringwall/contracts'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type CertificateAuthority,
  certificateFingerprint,
  createCa,
  createCsr,
  generateKeyPem,
  identityUri,
  issueCertificate,
} from './pki.ts'
import { connectPinned, presentedCaHash } from './tls.ts'

const dayMs = 86_400_000
let server: Server | undefined
afterEach(() => {
  server?.close()
})

/** A server with a certificate of `ca` that began at `notBefore`; answers where it listens. */
async function serve(ca: CertificateAuthority, chain: CertificateAuthority, notBefore?: Date) {
  const key = generateKeyPem()
  const leaf = await issueCertificate({
    ca,
    csrPem: await createCsr(key, 'center'),
    sanUris: [identityUri('center')],
    sanDns: ['localhost'],
    days: 30,
    usages: ['server'],
    ...(notBefore === undefined ? {} : { notBefore }),
  })
  const started = createServer({ key, cert: `${leaf}\n${chain.certificatePem}` })
  server = started
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
  const address = started.address()
  return { host: '127.0.0.1', port: typeof address === 'object' && address !== null ? address.port : 0 }
}

const codeOf = async (work: Promise<unknown>) =>
  await work.then(
    () => undefined,
    (error: unknown) => (isAppError(error) ? error.code : error),
  )

describe('a server whose CA is pinned by its hash', () => {
  it('is believed when the CA is the one, and signed it', async () => {
    const ca = await createCa({ commonName: 'one', days: 3650 })
    const address = await serve(ca, ca)
    const caHash = certificateFingerprint(ca.certificatePem)
    expect(await presentedCaHash(address)).toBe(caHash)
    expect(certificateFingerprint(await connectPinned({ ...address, caHash }))).toBe(caHash)
  })

  it('is not believed with another CA, or with one that did not sign it', async () => {
    const one = await createCa({ commonName: 'one', days: 3650 })
    const other = await createCa({ commonName: 'other', days: 3650 })
    const honest = await serve(one, one)
    expect(
      await codeOf(connectPinned({ ...honest, caHash: certificateFingerprint(other.certificatePem) })),
    ).toBe('ca_mismatch')
    server?.close()
    // What it shows beside a certificate of another issuer is not the issuer of that.
    const liar = await serve(other, one)
    expect(await codeOf(connectPinned({ ...liar, caHash: certificateFingerprint(one.certificatePem) }))).toBe(
      'ca_mismatch',
    )
  })

  it('tells a clock that is wrong from a certificate that is', async () => {
    const ca = await createCa({ commonName: 'one', days: 3650 })
    const address = await serve(ca, ca)
    const caHash = certificateFingerprint(ca.certificatePem)
    for (const nowMs of [Date.now() - 400 * dayMs, Date.now() + 400 * dayMs])
      expect(await codeOf(connectPinned({ ...address, caHash, nowMs }))).toBe('clock_skew')
  })

  it('that is not there is unavailable', async () => {
    expect(await codeOf(presentedCaHash({ host: '127.0.0.1', port: 1 }))).toBe('unavailable')
  })
})
