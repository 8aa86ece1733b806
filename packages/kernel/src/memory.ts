import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const addonName = 'ringwall-memory.node'
const pageBytes = 4096

/** Where the add-on lies: beside the bundle that runs, or where the build puts it for the sources. */
export function findMemoryAddon(): string {
  const bundled = join(import.meta.dirname, addonName)
  return existsSync(bundled) ? bundled : join(import.meta.dirname, '../../../dist', addonName)
}

/**
 * Gives memory that this process has no use for now back to the kernel: mappings of program code, which come back
 * page by page as they are needed, and free pages of malloc. Blocks for some milliseconds. Answers how many bytes of
 * code were mapped.
 */
export type ReleaseMemory = () => number

/** Loads the add-on; undefined where there is none or it does not load (built without a C compiler, another libc). */
export function openReleaseMemory(addonPath = findMemoryAddon()): ReleaseMemory | undefined {
  try {
    const release: unknown = createRequire(import.meta.url)(addonPath)
    return typeof release === 'function' ? () => Number(release()) : undefined
  } catch {
    return undefined
  }
}

/** What is in memory of this process: bytes of mapped files, and everything else, which is its own (statm of proc(5)). */
export function memoryInUse(): { fileBytes: number; ownBytes: number } {
  const [, resident = 0, shared = 0] = readFileSync('/proc/self/statm', 'latin1').split(' ').map(Number)
  return { fileBytes: shared * pageBytes, ownBytes: (resident - shared) * pageBytes }
}
