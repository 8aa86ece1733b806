import { rmSync } from 'node:fs'
import { isAppError } from '@ringwall/contracts'
import { type Logger, writeJsonFile } from '@ringwall/runtime'

const retryMs = 1_000

/**
 * Writes small state files. While the disk is full the newest value of each waits in memory and is written as soon
 * as there is space: a full disk must not keep the agent from protecting.
 */
export function createKeptFiles(logger: Logger) {
  const waiting = new Map<string, unknown>()
  let timer: NodeJS.Timeout | undefined

  function write(path: string, value: unknown): boolean {
    try {
      writeJsonFile(path, value, { mode: 0o600 })
      return true
    } catch (error) {
      if (!isAppError(error, 'disk_full')) throw error
      if (waiting.size === 0) logger.error({ error }, 'no space for state; keeping it in memory')
      return false
    }
  }

  function retry(): void {
    timer = undefined
    for (const [path, value] of waiting) {
      if (!write(path, value)) break
      waiting.delete(path)
    }
    if (waiting.size > 0) timer = setTimeout(retry, retryMs)
  }

  return {
    /** Replaces a file by a JSON value: now, or when there is space again. */
    write: (path: string, value: unknown): void => {
      if (write(path, value)) {
        waiting.delete(path)
        return
      }
      waiting.set(path, value)
      if (timer === undefined) timer = setTimeout(retry, retryMs)
    },
    /** Removes a file, also one that still waits for space. */
    remove: (path: string): void => {
      waiting.delete(path)
      rmSync(path, { force: true })
    },
    isDiskFull: () => waiting.size > 0,
  }
}
export type KeptFiles = ReturnType<typeof createKeptFiles>
