/** XDR (RFC 4506), as far as libvirt's remote protocol needs it: big-endian words, padded strings, counted arrays. */
import { AppError } from '@ringwall/contracts'

/** REMOTE_STRING_MAX of libvirt's remote_protocol.x; the XML of a domain is the longest string there is. */
export const maxStringBytes = 4 * 1024 * 1024
/** REMOTE_DOMAIN_LIST_MAX of the same file. */
export const maxArrayItems = 16_384

const paddingOf = (sizeBytes: number) => (4 - (sizeBytes % 4)) % 4
const invalid = (problems: string) => new AppError('message_invalid', { type: 'xdr', problems })

/** Reads values one after the other. Every method throws message_invalid where the bytes end early or a limit is passed. */
export class XdrReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get leftBytes(): number {
    return this.#bytes.length - this.#offset
  }

  /** Fixed-length opaque data, without its padding. */
  opaque(sizeBytes: number): Buffer {
    const start = this.#offset
    const paddedBytes = sizeBytes + paddingOf(sizeBytes)
    if (paddedBytes > this.leftBytes)
      throw invalid(`${paddedBytes} bytes wanted at offset ${start}, ${this.leftBytes} left`)
    this.#offset += paddedBytes
    return this.#bytes.subarray(start, start + sizeBytes)
  }

  u32(): number {
    return this.opaque(4).readUInt32BE()
  }

  i32(): number {
    return this.opaque(4).readInt32BE()
  }

  u64(): bigint {
    return this.opaque(8).readBigUInt64BE()
  }

  string(): string {
    const sizeBytes = this.u32()
    if (sizeBytes > maxStringBytes) throw invalid(`a string of ${sizeBytes} bytes`)
    return this.opaque(sizeBytes).toString('utf8')
  }

  optional<T>(read: () => T): T | null {
    const isThere = this.u32()
    if (isThere > 1) throw invalid(`${isThere} where 0 or 1 tells whether a value follows`)
    return isThere === 1 ? read() : null
  }

  array<T>(read: () => T): T[] {
    const count = this.u32()
    // Each item takes a word at least: a count that cannot be true must not make us allocate for it.
    if (count > maxArrayItems || count * 4 > this.leftBytes) throw invalid(`an array of ${count} items`)
    return Array.from({ length: count }, read)
  }
}

/** Writes values one after the other; the methods return the writer. */
export class XdrWriter {
  readonly #parts: Buffer[] = []

  opaque(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes), Buffer.alloc(paddingOf(bytes.length)))
    return this
  }

  u32(value: number): this {
    const word = Buffer.alloc(4)
    word.writeUInt32BE(value)
    return this.opaque(word)
  }

  i32(value: number): this {
    return this.u32(value >>> 0)
  }

  string(text: string): this {
    const bytes = Buffer.from(text)
    return this.u32(bytes.length).opaque(bytes)
  }

  optional<T>(value: T | null, write: (value: T) => void): this {
    this.u32(value === null ? 0 : 1)
    if (value !== null) write(value)
    return this
  }

  array<T>(items: T[], write: (item: T) => void): this {
    this.u32(items.length)
    for (const item of items) write(item)
    return this
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
