import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Packages with many files of many kinds: a server that somebody develops on. */
const packages = [
  'linux-headers-amd64',
  'libboost1.74-dev',
  'golang-1.19-src',
  'python3',
  'python3-dev',
  'vim',
  'git',
  'perl',
  'nginx-light',
  'gcc',
  'manpages-dev',
  'python3-numpy',
  'tzdata',
]
const suite = 'bookworm'

/** Where downloads and the template stay between runs. */
export const cacheDir = process.env.RINGWALL_BENCH_CACHE ?? '/var/cache/ringwall-bench'

/** A Debian with packages, made once by debootstrap(8): needs root and the network the first time. */
export function templateRoot(say: (text: string) => void): string {
  const root = join(cacheDir, 'root')
  if (existsSync(root)) return root
  const part = `${root}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(cacheDir, { recursive: true })
  say('making the template with debootstrap')
  execFileSync('debootstrap', ['--variant=minbase', '--include=ca-certificates', suite, part], {
    stdio: ['ignore', 'ignore', 2],
  })
  install(part)
  renameSync(part, root)
  return root
}

function install(root: string): void {
  copyFileSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'))
  spawnSync('mount', ['-t', 'proc', 'proc', join(root, 'proc')])
  try {
    execFileSync(
      'chroot',
      [root, 'apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages],
      {
        stdio: ['ignore', 'ignore', 2],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
      },
    )
  } finally {
    spawnSync('umount', [join(root, 'proc')])
  }
}
