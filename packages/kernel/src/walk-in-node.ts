import { closeSync, constants, lstatSync, openSync, readdirSync } from 'node:fs'
import { createComparison } from './baseline.ts'
import type { WalkMount, WalkOptions } from './walk.ts'
import {
  identityOf,
  maxPathBytes,
  type WalkReason,
  WalkWriter,
  walkKinds,
  walkReasons,
} from './walk-stream.ts'

const slash = 0x2f
const maxDepth = 1024

/** Why a file or directory cannot be looked at. */
export function walkReasonOf(error: unknown): WalkReason {
  const code = error instanceof Error && 'code' in error ? error.code : ''
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESTALE') return 'vanished'
  if (code === 'EACCES' || code === 'EPERM') return 'access_denied'
  if (code === 'ELOOP') return 'symlink'
  return 'io_error'
}

type Kind = 'file' | 'directory' | 'symlink' | 'special_file'
type Child = { path: Buffer; kind: Kind }

function kindOf(entry: {
  isFile: () => boolean
  isDirectory: () => boolean
  isSymbolicLink: () => boolean
}): Kind {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  return entry.isSymbolicLink() ? 'symlink' : 'special_file'
}

function isBelow(path: Buffer, prefix: Buffer): boolean {
  if (prefix.length === 1 && prefix[0] === slash) return true
  return (
    path.length >= prefix.length &&
    path.subarray(0, prefix.length).equals(prefix) &&
    (path.length === prefix.length || path[prefix.length] === slash)
  )
}

/** The same walk and stream as c/walk.c, for machines without the helper. A directory's names are in memory at once. */
export async function* walkInNode({
  roots,
  excluded,
  mounts,
  baseline,
  toldRoots,
}: WalkOptions): AsyncGenerator<Buffer> {
  const encoder = new WalkWriter()
  const comparison = baseline === undefined ? undefined : createComparison(baseline, roots, encoder)
  let isTold = false
  const mountAt = new Map<string, { mount: WalkMount; id: number }>(
    mounts.map((mount, index) => [mount.path.toString('latin1'), { mount, id: index + 1 }]),
  )
  const skip = (path: Buffer, mount: number, reason: WalkReason) =>
    encoder.emit(walkKinds.skipped, path, mount, walkReasons.indexOf(reason))

  function childrenOf(path: Buffer): Child[] {
    // A link put in the place of the directory since it was listed is not followed.
    const directory = openSync(
      path,
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    )
    closeSync(directory)
    const base = path.length === 1 ? Buffer.alloc(0) : path
    const children = readdirSync(path, { encoding: 'buffer', withFileTypes: true }).map((entry) => ({
      path: Buffer.concat([base, Buffer.from('/'), entry.name]),
      kind: kindOf(entry),
    }))
    const key = ({ path: child, kind }: Child) =>
      kind === 'directory' ? Buffer.concat([child, Buffer.from('/')]) : child
    return children.sort((a, b) => key(a).compare(key(b)))
  }

  function file(path: Buffer, mount: number): void {
    try {
      const stat = lstatSync(path, { bigint: true })
      if (stat.isFile()) {
        if (comparison === undefined) encoder.emit(walkKinds.file, path, mount, 0, identityOf(stat))
        else comparison.tellFile(path, mount, identityOf(stat), isTold)
      } else skip(path, mount, 'vanished')
    } catch (error) {
      skip(path, mount, walkReasonOf(error))
    }
  }

  function* visit(path: Buffer, around: number, depth: number, isRoot: boolean): Generator<Buffer> {
    const here = mountAt.get(path.toString('latin1'))
    const mount = here?.id ?? around
    const rule = here?.mount.rule ?? 'local'
    if (rule !== 'local' && !(isRoot && rule === 'duplicate_mount')) return skip(path, mount, rule)
    let children: Child[]
    try {
      if (depth > maxDepth) return skip(path, mount, 'io_error')
      children = childrenOf(path)
    } catch (error) {
      return skip(path, mount, walkReasonOf(error))
    }
    encoder.emit(walkKinds.directory, path, mount, 0)
    for (const child of children) {
      if (child.path.length > maxPathBytes) skip(path, mount, 'io_error')
      else if (excluded.some((prefix) => isBelow(child.path, prefix))) skip(child.path, mount, 'excluded')
      else if (child.kind === 'directory') yield* visit(child.path, mount, depth + 1, false)
      else if (child.kind === 'file') file(child.path, mount)
      else skip(child.path, mount, child.kind)
      if (encoder.full.length > 0) yield* encoder.full.splice(0)
    }
  }

  for (const root of roots) {
    const around = mounts.reduce(
      (best, { path }, index) =>
        isBelow(root, path) && path.length >= (mounts[best - 1]?.path.length ?? 0) ? index + 1 : best,
      0,
    )
    isTold = toldRoots?.has(root.toString('latin1')) ?? false
    try {
      const kind = kindOf(lstatSync(root))
      if (kind === 'directory') yield* visit(root, around, 0, true)
      else if (kind === 'file') file(root, around)
      else skip(root, around, kind)
    } catch (error) {
      skip(root, around, walkReasonOf(error))
    }
  }
  comparison?.finish()
  encoder.emit(walkKinds.end, Buffer.alloc(0), 0, 0)
  encoder.flush()
  yield* encoder.full.splice(0)
}
