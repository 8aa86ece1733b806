import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { AppError } from '@ringwall/contracts'

/** A frame larger than this is compressed. */
const compressFromBytes = 4096
/** 8 MiB, the most that RFC 8878 section 3.1.1.1.2 wants of a decoder: a frame cannot ask for more memory. */
const maxWindowLog = 23

/** A message as a WebSocket frame: JSON text, or zstd of it (RFC 8878) as a binary frame when it is large. */
export function encodeFrame(message: object): string | Buffer {
  const text = JSON.stringify(message)
  return Buffer.byteLength(text) <= compressFromBytes ? text : zstdCompressSync(text)
}

/** The value in a frame. Decompression stops at `maxBytes`; throws message_too_large or message_invalid. */
export function decodeFrame(data: string | Uint8Array, options: { maxBytes: number }): unknown {
  const { maxBytes } = options
  const sizeBytes = typeof data === 'string' ? Buffer.byteLength(data) : data.length
  if (sizeBytes > maxBytes) throw new AppError('message_too_large', { maxBytes })
  let text: string
  try {
    text =
      typeof data === 'string'
        ? data
        : zstdDecompressSync(data, {
            maxOutputLength: maxBytes,
            params: { [constants.ZSTD_d_windowLogMax]: maxWindowLog },
          }).toString()
  } catch (cause) {
    if (cause instanceof RangeError) throw new AppError('message_too_large', { maxBytes }, { cause })
    throw new AppError('message_invalid', { type: 'frame', problems: 'not zstd' }, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AppError('message_invalid', { type: 'frame', problems: 'not JSON' }, { cause })
  }
}
