/**
 * What a walk says, as bytes, little-endian. Each record:
 *   0 kind u8 · 1 reason u8 · 2 mount u16 · 4 shared u16 · 6 suffix length u16 · 8 suffix
 *   then, for a file, its identity: inode u64 · ctime ns i64 · mtime ns i64 · size u64 · mode u32
 *   for a known file the whole payload of its record, for unchanged files their number u32
 * With a baseline (walk.ts), a file is one that its record does not vouch for (reason 1) or that has none (reason 0),
 * a known one has not changed but is to be looked at (reason 1: picked; 0: its record is not settled), a
 * gone one has a record and was not met; all others are only counted, as unchanged.
 * A path is the first `shared` bytes of the path before it, and the suffix. Paths ascend in byte order below each
 * root. The last record has kind `end`: without it the walk was cut short.
 */
export const walkKinds = {
  file: 1,
  directory: 2,
  skipped: 3,
  end: 4,
  known: 5,
  gone: 6,
  unchanged: 7,
} as const
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
const chunkBytes = 64 * 1024
const countBytes = 4

/** Bytes of a file's identity: equal bytes mean the same inode, unchanged since. */
export const identityBytes = 36
export const identityOffsets = { inode: 0, ctimeNs: 8, mtimeNs: 16, sizeBytes: 24, mode: 32 } as const

type Stat = { ino: bigint; ctimeNs: bigint; mtimeNs: bigint; size: bigint; mode: bigint }

/** The identity of a file that was looked at. */
export function identityOf({ ino, ctimeNs, mtimeNs, size, mode }: Stat): Buffer {
  const identity = Buffer.alloc(identityBytes)
  identity.writeBigUInt64LE(BigInt.asUintN(64, ino), identityOffsets.inode)
  identity.writeBigInt64LE(ctimeNs, identityOffsets.ctimeNs)
  identity.writeBigInt64LE(mtimeNs, identityOffsets.mtimeNs)
  identity.writeBigUInt64LE(size, identityOffsets.sizeBytes)
  identity.writeUInt32LE(Number(mode), identityOffsets.mode)
  return identity
}

export const sizeOf = (identity: Buffer, at: number): number =>
  identity.readUInt32LE(at + 24) + identity.readUInt32LE(at + 28) * 2 ** 32
export const modeOf = (identity: Buffer, at: number): number => identity.readUInt32LE(at + 32)
/** Milliseconds since 1970, rounded down to a 64th or so: exact enough to compare with a clock. */
export const ctimeMsOf = (identity: Buffer, at: number): number =>
  (identity.readUInt32LE(at + 8) + identity.readInt32LE(at + 12) * 2 ** 32) / 1e6

/** Writes a stream of records in chunks. */
export class WalkWriter {
  #chunk = Buffer.allocUnsafe(chunkBytes)
  #used = 0
  #before: Buffer = Buffer.alloc(0)
  #unchanged = 0
  #unchangedMount = 0
  /** Chunks that are ready; take them out. */
  readonly full: Buffer[] = []

  /** `path` is kept until the next record. What follows it, such as a file's identity, is at `at` of `body`. */
  emit(
    kind: number,
    path: Buffer,
    mount: number,
    reason: number,
    body?: Buffer,
    at = 0,
    bodyBytes = identityBytes,
  ): void {
    this.#tellUnchanged()
    let shared = 0
    while (shared < path.length && shared < this.#before.length && path[shared] === this.#before[shared])
      shared += 1
    const suffix = path.length - shared
    this.#head({ kind, reason, mount, shared, suffix }, suffix + bodyBytes)
    this.#used += path.copy(this.#chunk, this.#used, shared)
    if (body !== undefined) this.#used += body.copy(this.#chunk, this.#used, at, at + bodyBytes)
    this.#before = path
  }

  /** One more file of a mount that is as its record has it. */
  countUnchanged(mount: number): void {
    if (mount !== this.#unchangedMount) this.#tellUnchanged()
    this.#unchangedMount = mount
    this.#unchanged += 1
  }

  #tellUnchanged(): void {
    const count = this.#unchanged
    if (count === 0) return
    this.#unchanged = 0
    const shared = this.#before.length
    const head = { kind: walkKinds.unchanged, reason: 0, mount: this.#unchangedMount, shared, suffix: 0 }
    this.#head(head, countBytes)
    this.#used = this.#chunk.writeUInt32LE(count, this.#used)
  }

  #head(
    {
      kind,
      reason,
      mount,
      shared,
      suffix,
    }: { kind: number; reason: number; mount: number; shared: number; suffix: number },
    restBytes: number,
  ): void {
    if (this.#used + walkHeaderBytes + restBytes > chunkBytes) this.flush()
    const at = this.#used
    this.#chunk.writeUInt8(kind, at)
    this.#chunk.writeUInt8(reason, at + 1)
    this.#chunk.writeUInt16LE(mount, at + 2)
    this.#chunk.writeUInt16LE(shared, at + 4)
    this.#chunk.writeUInt16LE(suffix, at + 6)
    this.#used = at + walkHeaderBytes
  }

  flush(): void {
    if (this.#used > 0) this.full.push(this.#chunk.subarray(0, this.#used))
    this.#chunk = Buffer.allocUnsafe(chunkBytes)
    this.#used = 0
  }
}

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
  /** How many files are unchanged. */
  count = 0
  /** Where the identity of a file, or the payload of a known one, lies in `bytes`. */
  bytes: Buffer = Buffer.alloc(0)
  identityAt = 0
  #at = 0
  readonly #bodyBytes: Readonly<Record<number, number>>

  /** `restBytes`: of the payload of a baseline's record, behind the identity. */
  constructor(restBytes = 0) {
    this.#bodyBytes = {
      [walkKinds.file]: identityBytes,
      [walkKinds.known]: identityBytes + restBytes,
      [walkKinds.unchanged]: countBytes,
    }
  }

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
    if (kind < 1 || kind > walkKinds.unchanged || shared > this.pathLength || shared + suffix > maxPathBytes)
      throw new RangeError('no record of a walk')
    const bodyAt = at + walkHeaderBytes
    const end = bodyAt + suffix + (this.#bodyBytes[kind] ?? 0)
    if (end > bytes.length) return false
    bytes.copy(this.path, shared, bodyAt, bodyAt + suffix)
    this.pathLength = shared + suffix
    this.kind = kind
    this.reason = bytes[at + 1] ?? 0
    this.mount = bytes.readUInt16LE(at + 2)
    this.identityAt = bodyAt + suffix
    if (kind === walkKinds.unchanged) this.count = bytes.readUInt32LE(this.identityAt)
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
