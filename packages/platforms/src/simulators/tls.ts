import { certificateFingerprint, createCa } from '@ringwall/runtime'

/** A certificate that signed itself, as platforms have it after their installation; `fingerprint` is what an operator would compare. */
export async function selfSignedCertificate(
  commonName: string,
): Promise<{ cert: string; key: string; fingerprint: string }> {
  const { certificatePem, keyPem } = await createCa({ commonName, days: 30 })
  return { cert: certificatePem, key: keyPem, fingerprint: certificateFingerprint(certificatePem) }
}
