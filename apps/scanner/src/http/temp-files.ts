import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Semaphore } from '@ringwall/runtime'

/** Files of contents under way: bounded in bytes, gone when their content is judged, cleaned up after a crash. */
export function openTempFiles(dir: string, capBytes: number) {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true, force: true })
  const space = new Semaphore({ capacity: capBytes, maxWaiting: 256 })
  let counter = 0
  return {
    /** A path for a file of `sizeBytes`; `release` removes it. Waits for space. */
    async reserve(sizeBytes: number, signal?: AbortSignal): Promise<{ path: string; release: () => void }> {
      const giveBack = await space.acquire(sizeBytes, signal)
      counter += 1
      const path = join(dir, `content-${counter}`)
      return {
        path,
        release: () => {
          rmSync(path, { force: true })
          giveBack()
        },
      }
    },
  }
}
export type TempFiles = ReturnType<typeof openTempFiles>
