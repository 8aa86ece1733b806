import { AppError } from '@ringwall/contracts'

const headerBytes = 36

export type FramedContent = { sha256: Buffer; bytes: Buffer }

/**
 * The body of POST /v1/contents: repeated [32 bytes SHA-256][u32 BE length][bytes]. Contents are views of `body`.
 * Throws content_too_large, upload_truncated.
 */
export function parseFramedContents(body: Buffer, maxContentBytes: number): FramedContent[] {
  const contents: FramedContent[] = []
  for (let offset = 0; offset < body.length; ) {
    const sizeBytes = offset + headerBytes <= body.length ? body.readUInt32BE(offset + 32) : 0
    if (sizeBytes > maxContentBytes)
      throw new AppError('content_too_large', { sizeBytes, maxBytes: maxContentBytes })
    const end = offset + headerBytes + sizeBytes
    if (end > body.length) throw new AppError('upload_truncated', { received: body.length, expected: end })
    contents.push({
      sha256: body.subarray(offset, offset + 32),
      bytes: body.subarray(offset + headerBytes, end),
    })
    offset = end
  }
  return contents
}
