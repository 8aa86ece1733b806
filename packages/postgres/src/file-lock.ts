import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'

/**
 * Runs `work` while holding an exclusive lock on `path` across processes. The lock is flock(2) on our own open
 * file, taken through flock(1) on the inherited descriptor, so the kernel lets it go when this process dies and
 * no stale lock can exist. The file itself stays.
 */
export async function withFileLock<T>(path: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const file = await open(path, 'a', 0o600)
  try {
    const child = spawn('flock', ['--exclusive', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', file.fd],
      signal,
    })
    const [code] = await once(child, 'exit')
    if (code !== 0) throw new Error(`flock ended with ${code} on ${path}`)
    return await work()
  } finally {
    await file.close()
  }
}
