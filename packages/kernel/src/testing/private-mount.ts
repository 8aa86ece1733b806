import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A small file system of its own: what a test marks there holds nobody else. Undefined where mounting is not allowed. */
export function mountPrivate(): { path: string; unmount: () => void } | undefined {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'ringwall-guard-')))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', path], {
    stdio: 'ignore',
  })
  if (status !== 0) {
    rmSync(path, { recursive: true })
    return undefined
  }
  return {
    path,
    unmount: () => {
      execFileSync('umount', ['-l', path])
      rmSync(path, { recursive: true })
    },
  }
}
