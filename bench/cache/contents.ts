/** The pretended contents of the cache benchmark. */
import { createHash } from 'node:crypto'

/** SHA-256 of content number so and so. */
export function contentHash(number: number): Buffer {
  return createHash('sha256').update(`content ${number}`).digest()
}

/** What the peer keeps of a content: code, version, size and time, as many bytes as an entry here has beside the hash. */
export const redisValue = Buffer.from('vvsizesiztime')
