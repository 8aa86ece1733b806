import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { AppError } from '@ringwall/contracts'
import { type Baseline, untilDamaged } from './baseline.ts'
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
  /** Where there is one, only what differs from it is told, the rest is counted; see walk-stream.ts. */
  baseline?: Baseline
  /** Roots, as latin1, whose settled records are picked in any case. */
  toldRoots?: ReadonlySet<string>
  /** The helper lists ahead in a second thread: up to twice as fast where a second processor is free. */
  isAhead?: boolean
  /** Called often while records go to the helper: resting there makes it rest, too. */
  pace?: () => void
  /** The helper's process runs. */
  onHelper?: (pid: number) => void
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

/** The first file descriptor that is free in the helper. */
const firstLayerFd = 3
const feedBytes = 64 * 1024

function orders({ roots, excluded, mounts, baseline, toldRoots, isAhead }: WalkOptions): Buffer {
  const zero = Buffer.from([0])
  const order = (head: string, path: Buffer) => [Buffer.from(head), path, zero]
  const judgement = (with_: Baseline) => {
    const { settled, samplePermille, latestCtimeNs } = with_
    const [mask, value] = [settled.mask.toString('hex'), settled.value.toString('hex')]
    return order(
      `J${settled.mask.length}:${samplePermille}:${latestCtimeNs}:${mask}:${value}`,
      Buffer.alloc(0),
    )
  }
  return Buffer.concat([
    ...(isAhead === true ? order('A', Buffer.alloc(0)) : []),
    ...mounts.flatMap(({ path, rule }, index) => order(`M${ruleLetters[rule]}${index + 1}:`, path)),
    ...(baseline === undefined ? [] : judgement(baseline)),
    ...layersOf(baseline).flatMap(({ mount }, index) =>
      order(`B${mount}:${firstLayerFd + index}`, Buffer.alloc(0)),
    ),
    ...(baseline?.of ?? []).flatMap(({ mount, triedPpm }) =>
      triedPpm === undefined ? [] : order(`T${mount}:${triedPpm}`, Buffer.alloc(0)),
    ),
    ...excluded.flatMap((path) => order('X', path)),
    ...roots.flatMap((path) => order(toldRoots?.has(path.toString('latin1')) ? 'S' : 'R', path)),
  ])
}

const layersOf = (baseline: Baseline | undefined) =>
  (baseline?.of ?? []).flatMap((of) =>
    of.layers.map((blocks) => ({ mount: of.mount, blocks: untilDamaged(blocks, of.onDamaged) })),
  )

/**
 * Hands the records of a layer to the helper as fast as it takes them, through one buffer. Takes no block more once
 * the walk is over: whoever ended it may close the file that they come from.
 */
async function feed(
  stream: Duplex,
  blocks: Iterable<Buffer>,
  { pace, isOver }: { pace: () => void; isOver: () => boolean },
): Promise<void> {
  const buffer = Buffer.allocUnsafe(feedBytes)
  let used = 0
  // Nothing comes back; without a reader its end would not be seen.
  stream.resume()
  stream.on('error', () => undefined)
  const write = (bytes: Buffer) =>
    new Promise<boolean>((resolve) => stream.write(bytes, (error) => resolve(error == null)))
  const drain = async () => {
    const isTaken = await write(buffer.subarray(0, used))
    used = 0
    pace()
    return isTaken && !isOver()
  }
  for (const block of blocks) {
    if (used + block.length > feedBytes && !(await drain())) return
    if (block.length > feedBytes) {
      if (!(await write(Buffer.from(block))) || isOver()) return
    } else used += block.copy(buffer, used)
  }
  if (await drain()) stream.end()
}

export async function* walkInHelper(file: string, options: WalkOptions): AsyncGenerator<Buffer> {
  const { baseline, pace = () => undefined, onHelper } = options
  const layers = layersOf(baseline)
  const child = spawn(file, [], { stdio: ['pipe', 'pipe', 'pipe', ...layers.map(() => 'pipe' as const)] })
  const [input, output, errors] = [child.stdin, child.stdout, child.stderr]
  if (input === null || output === null || errors === null)
    throw new AppError('command_failed', { command: 'ringwall-walk', reason: 'no pipes' })
  let complaint = ''
  errors.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-300)
  })
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', ({ message }) => resolve(message))
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${complaint.trim()} (${signal ?? code})`),
    )
  })
  if (child.pid !== undefined) onHelper?.(child.pid)
  input.on('error', () => undefined)
  input.end(orders(options))
  let isOver = false
  for (const [index, { blocks }] of layers.entries())
    void feed(child.stdio[firstLayerFd + index] as Duplex, blocks, { pace, isOver: () => isOver })
  try {
    for await (const chunk of output) yield chunk as Buffer
    const reason = await ended
    if (reason !== undefined) throw new AppError('command_failed', { command: 'ringwall-walk', reason })
  } finally {
    isOver = true
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
