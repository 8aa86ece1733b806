/** A machine to sign in to over SSH: this one's files below an overlay in memory, with an sshd, accounts and processes of its own. Nothing it writes is left. */
import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually, freePort, loggedChild, missingPrograms } from './programs.ts'

/** What this machine lacks to play another one; empty where it can. */
export function sshMachineLacks(): string[] {
  const missing = missingPrograms('sshd', 'ssh-keygen', 'sudo', 'unshare', 'chroot', 'useradd')
  const folder = mkdtempSync(join(tmpdir(), 'ringwall-overlay-'))
  const mounting = 'mount -t tmpfs tmpfs "$0" && cd "$0" && mkdir upper work root'
  const overlay = 'mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root'
  // Where /usr is a file system of its own it is not below the overlay.
  const look = 'test -x root/usr/sbin/sshd && test -x root/usr/bin/sudo'
  const script = [mounting, overlay, look].join(' && ')
  const tried = spawnSync('unshare', ['--mount', '--pid', '--fork', 'sh', '-c', script, folder])
  rmSync(folder, { recursive: true })
  return tried.status === 0 ? missing : [...missing, 'an overlay in a mount namespace']
}

/** May become root with the password. */
export const sudoer = 'ringwall-sudoer'
/** May become root without one. */
export const trusted = 'ringwall-trusted'
/** May not become root. */
export const visitor = 'ringwall-visitor'

/** Stands in for systemd, which cannot run in there: starts what a unit says, without its limits. */
const systemctl = `#!/bin/sh
set -eu
[ "$1" = enable ] || exit 0
start=$(sed -n 's/^ExecStart=//p' "/etc/systemd/system/$3.service")
RINGWALL_AGENT_WATCH=none setsid $start </dev/null >/dev/null 2>&1 &
`

/** Runs as the first process of its namespaces, which are gone with it. */
const boot = `
set -eu
site=$1 password=$2
mount -t tmpfs -o mode=755 tmpfs "$site/memory"
cd "$site/memory"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/tmp
rm -rf root/opt/ringwall-agent root/var/lib/ringwall root/etc/systemd/system/ringwall-agent.service
mkdir -p root/run/sshd root/etc/systemd/system root/etc/sudoers.d root/etc/test-ssh
chmod 755 root/etc/test-ssh
install -m 600 "$site/host" "$site/sshd_config" root/etc/test-ssh
install -m 644 "$site/user.pub" root/etc/test-ssh
install -m 755 "$site/systemctl" root/usr/bin/systemctl
for account in ${sudoer} ${trusted} ${visitor}; do chroot root useradd --create-home --shell /bin/sh "$account"; done
for account in root ${sudoer} ${trusted} ${visitor}; do echo "$account:$password"; done | chroot root chpasswd
printf '%s\\n' '${sudoer} ALL=(ALL) ALL' '${trusted} ALL=(ALL) NOPASSWD: ALL' > root/etc/sudoers.d/test-ssh
chmod 440 root/etc/sudoers.d/test-ssh
exec chroot root /usr/sbin/sshd -D -e -f /etc/test-ssh/sshd_config
`

export type SshMachine = {
  port: number
  /** Of root and all other accounts. */
  password: string
  /** Opens all accounts; it is encrypted with the passphrase. */
  privateKeyPem: string
  passphrase: string
  /** `sha256:<hex>` of its host key. */
  hostKey: string
  /** What its sshd said: who came, and as whom. */
  log: () => string
  /** Runs a command line in there as root, past SSH. */
  run: (command: string) => { status: number | null; stdout: string }
  stop: () => Promise<void>
}

export async function startSshMachine(): Promise<SshMachine> {
  const folder = mkdtempSync(join(tmpdir(), 'ringwall-ssh-machine-'))
  mkdirSync(join(folder, 'memory'))
  const password = `pw ${randomBytes(9).toString('base64')}`
  const passphrase = randomBytes(9).toString('base64')
  for (const [name, words] of [
    ['host', ''],
    ['user', passphrase],
  ] as const)
    spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', words, '-C', '', '-f', join(folder, name)])
  const port = await freePort()
  const settings = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    'HostKey /etc/test-ssh/host',
    'AuthorizedKeysFile /etc/test-ssh/user.pub',
    'PidFile none',
    'PermitRootLogin yes',
    'PasswordAuthentication yes',
    'UsePAM yes',
    'LogLevel VERBOSE',
  ]
  writeFileSync(join(folder, 'sshd_config'), settings.map((line) => `${line}\n`).join(''))
  writeFileSync(join(folder, 'systemctl'), systemctl)
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--propagation', 'private']
  const { child, log } = loggedChild(
    'unshare',
    [...namespaces, 'sh', '-c', boot, 'boot', folder, password],
    {},
  )
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async () => {
    // With it goes the first process in there, and with that all others and the mounts.
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  await eventually('sshd', () => log().includes('Server listening') || child.exitCode !== null, log)
  if (child.exitCode !== null) {
    await stop()
    throw new Error(`the SSH machine ended\n${log()}`)
  }
  const [, publicKey = ''] = readFileSync(join(folder, 'host.pub'), 'utf8').split(' ')
  const first = spawnSync('ps', ['--ppid', String(child.pid), '-o', 'pid='], {
    encoding: 'utf8',
  }).stdout.trim()
  return {
    port,
    password,
    privateKeyPem: readFileSync(join(folder, 'user'), 'utf8'),
    passphrase,
    hostKey: `sha256:${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex')}`,
    log,
    run: (command) =>
      spawnSync('nsenter', ['--target', first, '--mount', '--pid', '--root', 'sh', '-c', command], {
        encoding: 'utf8',
      }),
    stop,
  }
}
