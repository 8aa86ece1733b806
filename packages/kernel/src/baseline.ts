import { randomFillSync } from 'node:crypto'
import { LayeredCursor, RecordCursor } from './records.ts'
import { identityBytes, identityOffsets, modeOf, type WalkWriter, walkKinds } from './walk-stream.ts'

/** What a scan before saw of one mount. */
export type MountBaseline = {
  /** `mount` of the records of the walk. */
  mount: number
  /**
   * Records (records.ts) in blocks, each good until the next is taken. Of one path the layer that comes first is
   * believed. One that throws ends there.
   */
  layers: Iterable<Buffer>[]
  /**
   * Where the records are not this machine's own: of a million files that are as recorded, how many are picked to be
   * looked at, settled or not. Programs are picked `programsMoreOften` times as often, and always those that run with
   * the rights of their owner or group.
   */
  triedPpm?: number
  onDamaged: (error: unknown) => void
}

/** Which of the records need no second look while their files are as they were. */
export type Baseline = {
  of: MountBaseline[]
  /** Settled is a record whose bytes behind the identity are `value` under `mask`; both of the same length. */
  settled: { mask: Buffer; value: Buffer }
  /** Of a thousand settled records, how many are picked to be looked at all the same. */
  samplePermille: number
  /** Times of change later than this are of a clock that was set back since: such a file counts as changed. */
  latestCtimeNs: bigint
}

/** Blocks up to where they are damaged. */
export function* untilDamaged(
  blocks: Iterable<Buffer>,
  onDamaged: (error: unknown) => void,
): Generator<Buffer> {
  try {
    yield* blocks
  } catch (error) {
    onDamaged(error)
  }
}

/**
 * Tells whether a record is settled, by its bytes behind the identity, which begin at `restAt`. Only bytes that matter
 * are compared.
 */
export function createSettledTest({
  mask,
  value,
}: Baseline['settled']): (bytes: Buffer, restAt: number) => boolean {
  const places = [...mask.keys()].filter((place) => mask[place] !== 0)
  return (bytes, restAt) =>
    places.every((place) => ((bytes[restAt + place] ?? 0) & (mask[place] ?? 0)) === value[place])
}

const programsMoreOften = 10
const setuidBits = 0o6000
const executeBits = 0o111

/** Says yes with a chance of `permille` in a thousand; nobody can foresee when. */
export function createSampler(permille: number): () => boolean {
  const pool = new Uint32Array(1024)
  let next = pool.length
  const limit = (permille / 1000) * 2 ** 32
  return () => {
    if (permille <= 0) return false
    if (next === pool.length) {
      randomFillSync(pool)
      next = 0
    }
    const value = pool[next] ?? 0
    next += 1
    return value < limit
  }
}

/** Says which files another machine's records are tried on (`MountBaseline.triedPpm`); none where they are its own. */
function createTrial(triedPpm: number | undefined): (mode: number) => boolean {
  if (triedPpm === undefined) return () => false
  const isOtherTried = createSampler(triedPpm / 1000)
  const isProgramTried = createSampler((triedPpm / 1000) * programsMoreOften)
  return (mode) =>
    (mode & setuidBits) !== 0 || ((mode & executeBits) !== 0 ? isProgramTried() : isOtherTried())
}

/** Does what c/baseline.c does for the walker without a helper: compares a walk with what a scan before saw. */
export function createComparison(
  { of, settled, samplePermille, latestCtimeNs }: Baseline,
  roots: Buffer[],
  writer: WalkWriter,
) {
  const isSampled = createSampler(samplePermille)
  const isSettled = createSettledTest(settled)
  const payloadBytes = identityBytes + settled.mask.length
  const rootKeys = new Set(roots.map((root) => root.toString('latin1')))
  const cursors = new Map(
    of.map((baseline) => {
      const layers = baseline.layers.map(
        (blocks) => new RecordCursor(untilDamaged(blocks, baseline.onDamaged), payloadBytes),
      )
      const records = new LayeredCursor(layers)
      const old = { records, hasRecord: records.next(), isTried: createTrial(baseline.triedPpm) }
      return [baseline.mount, old] as const
    }),
  )

  function isInScope(path: Buffer): boolean {
    if (rootKeys.has('/')) return true
    for (let text = path.toString('latin1'); text !== ''; text = text.slice(0, text.lastIndexOf('/')))
      if (rootKeys.has(text)) return true
    return false
  }

  function tellGone(mount: number, until: Buffer | undefined): void {
    const old = cursors.get(mount)
    if (old === undefined) return
    const { records } = old
    for (; old.hasRecord; old.hasRecord = records.next()) {
      if (until !== undefined && records.path.compare(until, 0, until.length, 0, records.pathLength) >= 0)
        return
      const path = Buffer.from(records.path.subarray(0, records.pathLength))
      if (isInScope(path)) writer.emit(walkKinds.gone, path, mount, 0)
    }
  }

  return {
    /** Tells a file by its record, if there is one that still holds. */
    tellFile: (path: Buffer, mount: number, identity: Buffer, isTold: boolean): void => {
      tellGone(mount, path)
      const old = cursors.get(mount)
      const hasRecord =
        old?.hasRecord === true && path.equals(old.records.path.subarray(0, old.records.pathLength))
      if (!hasRecord || old === undefined) {
        writer.emit(walkKinds.file, path, mount, 0, identity)
        return
      }
      const { records } = old
      const { bytes, payloadAt } = records
      const isSame =
        identity.compare(bytes, payloadAt, payloadAt + identityBytes) === 0 &&
        identity.readBigInt64LE(identityOffsets.ctimeNs) <= latestCtimeNs
      if (!isSame) writer.emit(walkKinds.file, path, mount, 1, identity)
      else if (old.isTried(modeOf(identity, 0)))
        writer.emit(walkKinds.known, path, mount, 1, bytes, payloadAt, payloadBytes)
      else if (!isSettled(bytes, payloadAt + identityBytes))
        writer.emit(walkKinds.known, path, mount, 0, bytes, payloadAt, payloadBytes)
      else if (isTold || isSampled())
        writer.emit(walkKinds.known, path, mount, 1, bytes, payloadAt, payloadBytes)
      else writer.countUnchanged(mount)
      old.hasRecord = records.next()
    },
    finish: () => {
      for (const { mount } of of) tellGone(mount, undefined)
    },
  }
}
