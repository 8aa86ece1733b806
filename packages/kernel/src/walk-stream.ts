/**
 * What a walk says, as bytes, little-endian. Each record:
 *   0 kind u8 · 1 reason u8 · 2 mount u16 · 4 shared u16 · 6 suffix length u16 · 8 suffix
 *   then, for a file, its identity: inode u64 · ctime ns i64 · mtime ns i64 · size u64 · mode u32
 * A path is the first `shared` bytes of the path before it, and the suffix. Paths ascend in byte order below each
 * root. The last record has kind `end`: without it the walk was cut short.
 */
export const walkKinds = { file: 1, directory: 2, skipped: 3, end: 4 } as const
/** Reasons why something was not entered or is no file, by their number in the stream. */
export const walkReasons = [
  '',
  'vanished',
  'access_denied',
  'symlink',
  'io_error',
  'special_file',
  'excluded',
  'pseudo_fs',
  'remote_fs',
  'duplicate_mount',
] as const
export type WalkReason = Exclude<(typeof walkReasons)[number], ''>

export const walkHeaderBytes = 8
export const maxPathBytes = 4095

/** Bytes of a file's identity: equal bytes mean the same inode, unchanged since. */
export const identityBytes = 36
export const identityOffsets = { inode: 0, ctimeNs: 8, mtimeNs: 16, sizeBytes: 24, mode: 32 } as const

type Stat = { ino: bigint; ctimeNs: bigint; mtimeNs: bigint; size: bigint; mode: bigint }

/** Writes the identity of a file at `at`. */
export function writeIdentity(into: Buffer, at: number, { ino, ctimeNs, mtimeNs, size, mode }: Stat): void {
  into.writeBigUInt64LE(BigInt.asUintN(64, ino), at)
  into.writeBigInt64LE(ctimeNs, at + identityOffsets.ctimeNs)
  into.writeBigInt64LE(mtimeNs, at + identityOffsets.mtimeNs)
  into.writeBigUInt64LE(size, at + identityOffsets.sizeBytes)
  into.writeUInt32LE(Number(mode), at + identityOffsets.mode)
}

export const sizeOf = (identity: Buffer, at: number): number =>
  identity.readUInt32LE(at + 24) + identity.readUInt32LE(at + 28) * 2 ** 32
export const modeOf = (identity: Buffer, at: number): number => identity.readUInt32LE(at + 32)
/** Milliseconds since 1970, rounded down to a 64th or so: exact enough to compare with a clock. */
export const ctimeMsOf = (identity: Buffer, at: number): number =>
  (identity.readUInt32LE(at + 8) + identity.readInt32LE(at + 12) * 2 ** 32) / 1e6

/**
 * Reads the records of a stream one after another, without an object for each: `push` bytes, then call `next` until
 * it answers false. The fields tell the current record; they change with the next.
 */
export class WalkReader {
  kind = 0
  reason = 0
  mount = 0
  /** The current path is the first `pathLength` bytes. */
  readonly path: Buffer = Buffer.alloc(maxPathBytes + 1)
  pathLength = 0
  /** Where the identity of a file lies in `bytes`. */
  bytes: Buffer = Buffer.alloc(0)
  identityAt = 0
  #at = 0

  push(chunk: Buffer): void {
    this.bytes = this.#at < this.bytes.length ? Buffer.concat([this.bytes.subarray(this.#at), chunk]) : chunk
    this.#at = 0
  }

  /** Goes to the next record; false when the rest of it has not arrived. Throws RangeError when it is none. */
  next(): boolean {
    const { bytes } = this
    const at = this.#at
    if (at + walkHeaderBytes > bytes.length) return false
    const kind = bytes[at] ?? 0
    const shared = bytes.readUInt16LE(at + 4)
    const suffix = bytes.readUInt16LE(at + 6)
    if (kind < 1 || kind > 4 || shared > this.pathLength || shared + suffix > maxPathBytes)
      throw new RangeError('no record of a walk')
    const bodyAt = at + walkHeaderBytes
    const end = bodyAt + suffix + (kind === walkKinds.file ? identityBytes : 0)
    if (end > bytes.length) return false
    bytes.copy(this.path, shared, bodyAt, bodyAt + suffix)
    this.pathLength = shared + suffix
    this.kind = kind
    this.reason = bytes[at + 1] ?? 0
    this.mount = bytes.readUInt16LE(at + 2)
    this.identityAt = bodyAt + suffix
    this.#at = end
    return true
  }

  get isEnd(): boolean {
    return this.kind === walkKinds.end
  }

  /** A copy of the current path. */
  currentPath(): Buffer {
    return Buffer.from(this.path.subarray(0, this.pathLength))
  }
}
