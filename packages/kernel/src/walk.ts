import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { walkInNode } from './walk-in-node.ts'

export type MountRule = 'local' | 'pseudo_fs' | 'remote_fs' | 'duplicate_mount'
/** A mount point, and what to do there. Its place in the list plus one is `mount` of the records below it. */
export type WalkMount = { path: Buffer; rule: MountRule }

export type WalkOptions = {
  /** Absolute paths, sorted as `sortRoots` does; none lies below another. */
  roots: Buffer[]
  /** Neither these nor what is below them is entered. */
  excluded: Buffer[]
  mounts: WalkMount[]
}

const ruleLetters: Record<MountRule, string> = {
  local: 'l',
  pseudo_fs: 'p',
  remote_fs: 'r',
  duplicate_mount: 'd',
}

/** The C walker, where it was built; bundles have it beside them. */
export function walkerPath(): string | undefined {
  const candidates = [
    join(import.meta.dirname, 'ringwall-walk'),
    join(import.meta.dirname, '../../../dist/ringwall-walk'),
  ]
  return candidates.find((path) => existsSync(path))
}

function orders({ roots, excluded, mounts }: WalkOptions): Buffer {
  const zero = Buffer.from([0])
  const order = (head: string, path: Buffer) => [Buffer.from(head), path, zero]
  return Buffer.concat([
    ...mounts.flatMap(({ path, rule }, index) => order(`M${ruleLetters[rule]}${index + 1}:`, path)),
    ...excluded.flatMap((path) => order('X', path)),
    ...roots.flatMap((path) => order('R', path)),
  ])
}

export async function* walkInHelper(file: string, options: WalkOptions): AsyncGenerator<Buffer> {
  const child = spawn(file, [], { stdio: ['pipe', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-300)
  })
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', ({ message }) => resolve(message))
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${complaint.trim()} (${signal ?? code})`),
    )
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(orders(options))
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer
    const reason = await ended
    if (reason !== undefined) throw new AppError('command_failed', { command: 'ringwall-walk', reason })
  } finally {
    child.kill('SIGKILL')
  }
}

/**
 * Everything below some paths, as the stream of walk-stream.ts: symbolic links are not followed, only local file
 * systems are entered, and whatever cannot be looked at comes as skipped with its reason. The C helper does it
 * where it was built (about as fast as find), Node otherwise. End the iteration to stop the walk.
 * Throws command_failed when the helper dies.
 */
export function walk(options: WalkOptions): AsyncGenerator<Buffer> {
  const file = walkerPath()
  return file === undefined ? walkInNode(options) : walkInHelper(file, options)
}

/**
 * Roots in the order of a walk, without those below another. `isDirectory` tells which end with a slash in that
 * order.
 */
export function sortRoots(roots: Buffer[], isDirectory: (path: Buffer) => boolean): Buffer[] {
  const slash = Buffer.from('/')
  const keyed = roots.map((path) => ({
    path,
    key: path.equals(slash) || !isDirectory(path) ? path : Buffer.concat([path, slash]),
  }))
  keyed.sort((a, b) => a.key.compare(b.key))
  const kept: typeof keyed = []
  for (const root of keyed) {
    const last = kept.at(-1)
    const isCovered =
      last !== undefined &&
      (last.path.equals(root.path) ||
        (last.key.at(-1) === 0x2f && root.key.subarray(0, last.key.length).equals(last.key)))
    if (!isCovered) kept.push(root)
  }
  return kept.map(({ path }) => path)
}
