import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const addonName = 'ringwall-process.node'
const pageBytes = 4096

/** Where the add-on lies: beside the bundle that runs, or where the build puts it for the sources. */
export function findProcessAddon(): string {
  const bundled = join(import.meta.dirname, addonName)
  return existsSync(bundled) ? bundled : join(import.meta.dirname, '../../../dist', addonName)
}

/**
 * Gives memory that this process has no use for now back to the kernel: mappings of program code, which come back
 * page by page as they are needed, and free pages of malloc. Blocks for some milliseconds. Answers how many bytes of
 * code were mapped.
 */
export type ReleaseMemory = () => number

/** What the add-on does; undefined where there is none or it does not load (built without a C compiler, another libc). */
function load(name: 'release' | 'yieldDisk', addonPath: string): (() => unknown) | undefined {
  try {
    const does: unknown = Reflect.get(Object(createRequire(import.meta.url)(addonPath)), name)
    return typeof does === 'function' ? () => does() as unknown : undefined
  } catch {
    return undefined
  }
}

/** Undefined without the add-on. */
export function openReleaseMemory(addonPath = findProcessAddon()): ReleaseMemory | undefined {
  const release = load('release', addonPath)
  return release === undefined ? undefined : () => Number(release())
}

/**
 * Puts the calling thread, and the processes that it starts, behind all others at the disk: the idle class of
 * ioprio_set(2). Answers whether that was done; not without the add-on.
 */
export function yieldDisk(addonPath = findProcessAddon()): boolean {
  return load('yieldDisk', addonPath)?.() === true
}

/** What is in memory of this process: bytes of mapped files, and everything else, which is its own (statm of proc(5)). */
export function memoryInUse(): { fileBytes: number; ownBytes: number } {
  const [, resident = 0, shared = 0] = readFileSync('/proc/self/statm', 'latin1').split(' ').map(Number)
  return { fileBytes: shared * pageBytes, ownBytes: (resident - shared) * pageBytes }
}
