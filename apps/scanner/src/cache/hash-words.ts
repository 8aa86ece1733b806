/** 32-bit words of a SHA-256 hash. */
export const hashWords = 8
const hashBytes = hashWords * Int32Array.BYTES_PER_ELEMENT

/**
 * Hashes that stand one after the other, as words: compared eight at a time instead of thirty-two bytes, and read
 * without an object for each hash. Shares the memory of `bytes` where its place allows that.
 */
export function wordsOf(bytes: Buffer, at = 0, count = 1): Int32Array {
  const start = bytes.byteOffset + at
  if (at + count * hashBytes > bytes.length) throw new RangeError('no hash')
  if (start % Int32Array.BYTES_PER_ELEMENT === 0)
    return new Int32Array(bytes.buffer, start, count * hashWords)
  return new Int32Array(bytes.buffer.slice(start, start + count * hashBytes))
}
