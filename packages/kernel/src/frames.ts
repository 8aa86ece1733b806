import { AppError } from '@ringwall/contracts'

/** The frames between the agent and its helper, as native/guard.h describes them. */
export const toHelper = {
  mark: 1,
  policy: 2,
  verdict: 3,
  known: 4,
  forget: 5,
  excludeExes: 6,
  excludePaths: 7,
  sync: 8,
  stretch: 9,
} as const
export const fromHelper = {
  hello: 1,
  marked: 2,
  ask: 3,
  stats: 4,
  mounts: 5,
  changed: 6,
  gap: 7,
  synced: 8,
} as const

export const helperAbi = 1
const maxFrameBytes = 1024 * 1024

/** What a file is and in which state, as stat(2) tells it; two equal keys mean an unchanged content. */
export type FileKey = {
  device: bigint
  inode: bigint
  ctimeNs: bigint
  mtimeNs: bigint
  sizeBytes: bigint
}
export const fileKeyBytes = 40

export function encodeFrame(type: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const frame = Buffer.allocUnsafe(5 + payload.length)
  frame.writeUInt32LE(payload.length + 1)
  frame[4] = type
  frame.set(payload, 5)
  return frame
}

/** Cuts a stream into frames. The returned function throws message_invalid for a length that no frame has. */
export function createFrameReader(onFrame: (type: number, payload: Buffer) => void) {
  let held: Buffer = Buffer.alloc(0)
  return (chunk: Buffer): void => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    let at = 0
    while (held.length - at >= 4) {
      const length = held.readUInt32LE(at)
      if (length < 1 || length > maxFrameBytes)
        throw new AppError('message_invalid', { type: 'helper frame', problems: `length ${length}` })
      if (held.length - at - 4 < length) break
      onFrame(held[at + 4] ?? 0, held.subarray(at + 5, at + 4 + length))
      at += 4 + length
    }
    held = held.subarray(at)
  }
}

export function writeFileKey(into: Buffer, key: FileKey, at: number): void {
  into.writeBigUInt64LE(key.device, at)
  into.writeBigUInt64LE(key.inode, at + 8)
  into.writeBigInt64LE(key.ctimeNs, at + 16)
  into.writeBigInt64LE(key.mtimeNs, at + 24)
  into.writeBigUInt64LE(key.sizeBytes, at + 32)
}

export function readFileKey(from: Buffer, at: number): FileKey {
  return {
    device: from.readBigUInt64LE(at),
    inode: from.readBigUInt64LE(at + 8),
    ctimeNs: from.readBigInt64LE(at + 16),
    mtimeNs: from.readBigInt64LE(at + 24),
    sizeBytes: from.readBigUInt64LE(at + 32),
  }
}

/** A text with its length in front. */
export function encodeText(bytes: Uint8Array): Buffer {
  const text = Buffer.allocUnsafe(2 + bytes.length)
  text.writeUInt16LE(bytes.length)
  text.set(bytes, 2)
  return text
}

/** The texts of a frame that holds nothing else. */
export function* decodeTexts(payload: Buffer): Generator<Buffer> {
  for (let at = 0; at + 2 <= payload.length; ) {
    const end = at + 2 + payload.readUInt16LE(at)
    if (end > payload.length)
      throw new AppError('message_invalid', { type: 'helper frame', problems: 'a text is cut off' })
    yield payload.subarray(at + 2, end)
    at = end
  }
}
