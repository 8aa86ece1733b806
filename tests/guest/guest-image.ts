/** A small Debian with systemd to boot under QEMU, made once and kept beside the template of the clone benchmark. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cacheDir } from '../../bench/template-root.ts'

const suite = 'bookworm'
const packages = [
  'systemd',
  'systemd-sysv',
  'udev',
  'dbus',
  'openssh-server',
  'iproute2',
  'procps',
  'initramfs-tools',
  'zstd',
  'linux-image-cloud-amd64',
]
const imageBytes = 4 * 1024 ** 3

/** How the guest knows the machine that runs it, on QEMU's user network. */
export const hostName = 'center.test'
export const guestAddressOfHost = '10.0.2.2'

/** Timers that would work at some moment of a test, and what a guest without a screen does not need. */
const masked = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'e2scrub_all.timer',
  'fstrim.timer',
  'getty@tty1.service',
]

export type GuestImage = {
  /** ext4 without partitions; never written, each guest has an overlay. */
  diskPath: string
  kernelPath: string
  initrdPath: string
  /** Of root in the guest, OpenSSH format. */
  keyPath: string
}

/** What a scan need not see, for each file costs time here. */
const removed = ['usr/share/doc', 'usr/share/locale', 'usr/share/man', 'usr/share/i18n', 'usr/share/zoneinfo']

const files: Record<string, string> = {
  'etc/hostname': 'guest\n',
  'etc/hosts': `127.0.0.1 localhost\n127.0.1.1 guest\n${guestAddressOfHost} ${hostName}\n`,
  'etc/fstab': '/dev/vda / ext4 defaults 0 0\n',
  'etc/systemd/network/wired.network': '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n',
  // Made anew at the first start: two guests are two machines.
  'etc/machine-id': '',
}
const recipe = JSON.stringify({ suite, packages, imageBytes, masked, removed, files })

/** Makes the image: needs root, debootstrap(8), mke2fs(8) and, the first time, the network. */
export function guestImage(say: (text: string) => void): GuestImage {
  const version = createHash('sha256').update(recipe).digest('hex').slice(0, 12)
  const folder = join(cacheDir, `guest-${version}`)
  const image = {
    diskPath: join(folder, 'disk.ext4'),
    kernelPath: join(folder, 'vmlinuz'),
    initrdPath: join(folder, 'initrd.img'),
    keyPath: join(folder, 'key'),
  }
  if (existsSync(folder)) return image
  const part = `${folder}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(part, { recursive: true, mode: 0o700 })
  const root = join(part, 'root')
  say(`making a Debian ${suite} for the guest with debootstrap`)
  run('debootstrap', ['--variant=minbase', `--include=${packages.join(',')}`, suite, root])
  run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'guest', '-f', join(part, 'key')])
  for (const name of ['vmlinuz', 'initrd.img']) copyFileSync(bootFile(root, name), join(part, name))
  configure(root, readFileSync(join(part, 'key.pub'), 'utf8'))
  run('truncate', ['-s', String(imageBytes), join(part, 'disk.ext4')])
  run('mke2fs', ['-q', '-t', 'ext4', '-d', root, join(part, 'disk.ext4')])
  rmSync(root, { recursive: true })
  for (const name of readdirSync(cacheDir))
    if (/^guest-[0-9a-f]{12}$/.test(name)) rmSync(join(cacheDir, name), { recursive: true })
  renameSync(part, folder)
  return image
}

function run(command: string, args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 2] })
}

/** The newest one: there is one kernel. */
function bootFile(root: string, name: string): string {
  const found = readdirSync(join(root, 'boot')).find((file) => file.startsWith(`${name}-`))
  if (found === undefined) throw new Error(`the guest has no /boot/${name}-*`)
  return join(root, 'boot', found)
}

function configure(root: string, publicKey: string): void {
  mkdirSync(join(root, 'root/.ssh'), { recursive: true, mode: 0o700 })
  for (const [path, text] of Object.entries({ ...files, 'root/.ssh/authorized_keys': publicKey }))
    writeFileSync(join(root, path), text)
  run('chroot', [root, 'systemctl', '-q', 'enable', 'systemd-networkd', 'ssh'])
  run('chroot', [root, 'systemctl', '-q', 'mask', ...masked])
  run('chroot', [root, 'apt-get', 'clean'])
  for (const path of [...removed, 'boot']) rmSync(join(root, path), { recursive: true, force: true })
}
