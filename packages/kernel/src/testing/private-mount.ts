import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A small file system of its own: what a test marks there holds nobody else. ext4 lies in a file. Undefined where
 * mounting is not allowed.
 */
export function mountPrivate(
  type: 'tmpfs' | 'ext4' = 'tmpfs',
): { path: string; unmount: () => void } | undefined {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'ringwall-guard-')))
  const image = `${path}.img`
  const runs = (command: string, args: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
  const isMounted =
    type === 'tmpfs'
      ? runs('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', path])
      : runs('truncate', ['-s', '64M', image]) &&
        runs('mkfs.ext4', ['-q', '-I', '256', image]) &&
        runs('mount', ['-o', 'loop', image, path])
  const clean = () => {
    rmSync(path, { recursive: true })
    rmSync(image, { force: true })
  }
  if (!isMounted) {
    clean()
    return undefined
  }
  return {
    path,
    unmount: () => {
      execFileSync('umount', ['-l', path])
      clean()
    },
  }
}
