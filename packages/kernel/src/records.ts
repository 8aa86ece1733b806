/**
 * Records of files in the byte order of their paths, in blocks, little-endian. Each record:
 *   shared u16 · suffix length u16 · suffix, then a payload: the identity of walk-stream.ts and what its keeper adds
 * A path is the first `shared` bytes of the path before it, and the suffix. A block may begin with shared 0. A record
 * whose identity has no mode is a tombstone: there is no such file any more.
 */
import { identityBytes, identityOffsets, maxPathBytes } from './walk-stream.ts'

export const recordHeaderBytes = 4

/** Goes over records without an object for each: the fields tell the current one, and change with `next`. */
export type Records = {
  /** The current path is the first `pathLength` bytes. */
  readonly path: Buffer
  readonly pathLength: number
  /** The current payload lies at `payloadAt`. */
  readonly bytes: Buffer
  readonly payloadAt: number
  /** Moves on; false behind the last record. */
  next: () => boolean
}

/** The records of blocks, each of which is good until the next is taken. Throws RangeError for what is no record. */
export class RecordCursor implements Records {
  readonly path: Buffer = Buffer.alloc(maxPathBytes + 1)
  pathLength = 0
  bytes: Buffer = Buffer.alloc(0)
  payloadAt = 0
  #at = 0
  readonly #blocks: Iterator<Buffer>
  readonly #payloadBytes: number

  constructor(blocks: Iterable<Buffer>, payloadBytes: number) {
    this.#blocks = blocks[Symbol.iterator]()
    this.#payloadBytes = payloadBytes
  }

  next(): boolean {
    while (this.#at === this.bytes.length) {
      const { done, value } = this.#blocks.next()
      if (done) return false
      this.bytes = value
      this.#at = 0
    }
    const { bytes } = this
    const at = this.#at
    const bodyAt = at + recordHeaderBytes
    if (bodyAt > bytes.length) throw new RangeError('no record')
    const shared = bytes.readUInt16LE(at)
    const suffix = bytes.readUInt16LE(at + 2)
    const end = bodyAt + suffix + this.#payloadBytes
    if (shared > this.pathLength || shared + suffix > maxPathBytes || end > bytes.length)
      throw new RangeError('no record')
    bytes.copy(this.path, shared, bodyAt, bodyAt + suffix)
    this.pathLength = shared + suffix
    this.payloadAt = bodyAt + suffix
    this.#at = end
    return true
  }
}

/** Whether a record says that there is no such file any more. */
export const isTombstone = ({ bytes, payloadAt }: Pick<Records, 'bytes' | 'payloadAt'>): boolean =>
  bytes.readUInt32LE(payloadAt + identityOffsets.mode) === 0

/** The identity of a tombstone. */
export const noIdentity: Buffer = Buffer.alloc(identityBytes)

export const comparePaths = (left: Records, right: Records): number =>
  left.path.compare(right.path, 0, right.pathLength, 0, left.pathLength)

/** Several layers as one: of one path the layer that comes first is believed. Tombstones are left out. */
export class LayeredCursor implements Records {
  readonly #layers: { records: Records; hasRecord: boolean }[]
  #current: Records
  #isFresh = true

  /** Throws RangeError without a layer. */
  constructor(layers: Records[]) {
    const [first] = layers
    if (first === undefined) throw new RangeError('no layer')
    this.#current = first
    this.#layers = layers.map((records) => ({ records, hasRecord: records.next() }))
  }

  get path(): Buffer {
    return this.#current.path
  }
  get pathLength(): number {
    return this.#current.pathLength
  }
  get bytes(): Buffer {
    return this.#current.bytes
  }
  get payloadAt(): number {
    return this.#current.payloadAt
  }

  next(): boolean {
    do {
      if (!this.#isFresh) this.#passOver()
      this.#isFresh = false
      if (!this.#choose()) return false
    } while (isTombstone(this))
    return true
  }

  #passOver(): void {
    for (const layer of this.#layers)
      if (layer.records === this.#current) layer.hasRecord = layer.records.next()
  }

  #choose(): boolean {
    let first: Records | undefined
    for (const layer of this.#layers) {
      const { records } = layer
      if (!layer.hasRecord) continue
      const order = first === undefined ? -1 : comparePaths(records, first)
      if (order < 0) first = records
      else if (order === 0) layer.hasRecord = records.next()
    }
    if (first !== undefined) this.#current = first
    return first !== undefined
  }
}
