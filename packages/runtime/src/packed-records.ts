import { AppError, sharingLimits } from '@ringwall/contracts'

const { verdictBytes, holdingBytes } = sharingLimits

/** A verdict as it travels between scanners and center; `version` is an index into the versions of its batch. */
export type PackedVerdict = {
  sha256: Buffer
  code: number
  version: number
  sizeBytes: number
  judgedAtMs: number
}

/** Packs verdicts as contracts/malware/sharing.ts says: 48 bytes each, base64. */
export function packVerdicts(verdicts: readonly PackedVerdict[]): string {
  const bytes = Buffer.alloc(verdicts.length * verdictBytes)
  for (const [index, { sha256, code, version, sizeBytes, judgedAtMs }] of verdicts.entries()) {
    const at = index * verdictBytes
    sha256.copy(bytes, at, 0, 32)
    bytes.writeUInt8(code, at + 32)
    bytes.writeUInt16LE(version, at + 34)
    bytes.writeUIntLE(sizeBytes, at + 36, 6)
    bytes.writeUIntLE(judgedAtMs, at + 42, 6)
  }
  return bytes.toString('base64')
}

function unpack<T>(text: string, recordBytes: number, read: (bytes: Buffer, at: number) => T): T[] {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length % recordBytes !== 0)
    throw new AppError('message_invalid', {
      type: 'records',
      problems: `no multiple of ${recordBytes} bytes`,
    })
  return Array.from({ length: bytes.length / recordBytes }, (_, index) => read(bytes, index * recordBytes))
}

/** Throws message_invalid when the text holds no whole number of records. */
export function unpackVerdicts(text: string): PackedVerdict[] {
  return unpack(text, verdictBytes, (bytes, at) => ({
    sha256: bytes.subarray(at, at + 32),
    code: bytes.readUInt8(at + 32),
    version: bytes.readUInt16LE(at + 34),
    sizeBytes: bytes.readUIntLE(at + 36, 6),
    judgedAtMs: bytes.readUIntLE(at + 42, 6),
  }))
}

/** Hashes of 32 bytes, one after the other, base64. */
export const packHashes = (hashes: readonly Buffer[]): string => Buffer.concat(hashes).toString('base64')

/** Throws message_invalid when the text holds no whole number of hashes. */
export function unpackHashes(text: string): Buffer[] {
  return unpack(text, 32, (bytes, at) => bytes.subarray(at, at + 32))
}

/** What a machine has of contents whose SHA-256 begins with `prefix` (8 bytes); see contracts/malware/sharing.ts. */
export type Holding = { prefix: Buffer; state: number }

export const executableBit = 0x80
export const maxCountedPaths = 0x7f

export function packHoldings(holdings: readonly Holding[]): string {
  const bytes = Buffer.alloc(holdings.length * holdingBytes)
  for (const [index, { prefix, state }] of holdings.entries()) {
    prefix.copy(bytes, index * holdingBytes, 0, 8)
    bytes.writeUInt8(state, index * holdingBytes + 8)
  }
  return bytes.toString('base64')
}

/** Throws message_invalid when the text holds no whole number of holdings. */
export function unpackHoldings(text: string): Holding[] {
  return unpack(text, holdingBytes, (bytes, at) => ({
    prefix: bytes.subarray(at, at + 8),
    state: bytes.readUInt8(at + 8),
  }))
}
