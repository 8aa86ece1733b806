/** Real peers for the libvirt connector: libvirtd daemons that take themselves for different hosts, and an sshd, each in its own folder. */
import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually, freePort, loggedChild, stopped } from './programs.ts'

/** A libvirtd of its own needs an account of passwd. Not `nobody`: nss-systemd shows it as locked, and sshd lets no locked account in. */
const account = 'daemon'

function idOf(option: '-u' | '-g'): number {
  return Number(spawnSync('id', [option, account], { encoding: 'utf8' }).stdout)
}

export type Daemon = {
  name: string
  hostUuid: string
  socketPath: string
  uri: string
  stop: () => Promise<void>
}

/** A folder that the account may enter; `remove` ends the guests that its daemons left running. */
export function createSite(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'ringwall-libvirt-'))
  chmodSync(folder, 0o755)
  return {
    folder,
    remove: () => {
      // A guest outlives its daemon; its command line names the folder.
      const processes = spawnSync('ps', ['-u', account, '-o', 'pid=,args='], { encoding: 'utf8' }).stdout
      for (const line of processes.split('\n').filter((line) => line.includes(folder)))
        process.kill(Number.parseInt(line, 10), 'SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A libvirtd with its own name, uuid, folders and sockets. */
export async function startDaemon(site: string, name: string): Promise<Daemon> {
  const folder = join(site, name)
  const hostUuid = randomUUID()
  const folders = ['', 'home', 'run', 'config', 'config/libvirt', 'cache'].map((part) => join(folder, part))
  for (const path of folders) {
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, idOf('-u'), idOf('-g'))
  }
  // Else each daemon starts a virtlogd, which outlives it.
  writeFileSync(join(folder, 'config/libvirt/qemu.conf'), 'stdio_handler = "file"\n')
  const config = join(folder, 'libvirtd.conf')
  const settings = {
    host_uuid: hostUuid,
    unix_sock_dir: folder,
    auth_unix_rw: 'none',
    log_outputs: '3:stderr',
  }
  writeFileSync(
    config,
    Object.entries(settings)
      .map(([key, value]) => `${key} = "${value}"\n`)
      .join(''),
  )
  const program = ['/usr/sbin/libvirtd', '-t', '0', '--config', config, '--pid-file', join(folder, 'pid')]
  // The host name belongs to the UTS namespace, which only root may make: first that, then the account.
  const { child, log } = loggedChild(
    'unshare',
    [
      '-u',
      'sh',
      '-c',
      'hostname "$0" && uid=$1 gid=$2 && shift 2 && exec setpriv --reuid="$uid" --regid="$gid" --clear-groups -- "$@"',
    ].concat(name, String(idOf('-u')), String(idOf('-g')), program),
    {
      cwd: folder,
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: join(folder, 'home'),
        XDG_RUNTIME_DIR: join(folder, 'run'),
        XDG_CONFIG_HOME: join(folder, 'config'),
        XDG_CACHE_HOME: join(folder, 'cache'),
      },
    },
  )
  const socketPath = join(folder, 'libvirt-sock')
  const isDead = () => child.exitCode !== null
  await eventually(`libvirtd ${name}`, () => existsSync(socketPath) || isDead(), log)
  if (isDead()) throw new Error(`libvirtd ${name} ended\n${log()}`)
  return {
    name,
    hostUuid,
    socketPath,
    uri: `qemu+unix:///session?socket=${socketPath}`,
    stop: () => stopped(child),
  }
}

export type Sshd = {
  port: number
  username: string
  privateKeyPem: string
  /** `sha256:<hex>` of its host key. */
  hostKey: string
  /** What it said so far: whom it saw come, and with which account. */
  log: () => string
  stop: () => Promise<void>
}

/** An sshd of the account, which can sign in nobody but itself, by key only. */
export async function startSshd(site: string): Promise<Sshd> {
  const folder = join(site, 'sshd')
  mkdirSync(folder, { mode: 0o700 })
  for (const name of ['host', 'user'])
    spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, name)])
  const authorizedKeys = join(folder, 'authorized_keys')
  const userKey = readFileSync(join(folder, 'user.pub'), 'utf8')
  writeFileSync(authorizedKeys, `restrict,port-forwarding ${userKey}`)
  const config = join(folder, 'sshd_config')
  const port = await freePort()
  const settings = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${authorizedKeys}`,
    `PidFile ${join(folder, 'pid')}`,
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    'StrictModes no',
    // What docs/platforms/libvirt.md advises.
    'AllowTcpForwarding local',
    'AllowStreamLocalForwarding local',
    'PermitTTY no',
    'LogLevel VERBOSE',
  ]
  writeFileSync(config, settings.map((line) => `${line}\n`).join(''))
  const owner = { uid: idOf('-u'), gid: idOf('-g') }
  for (const name of ['', 'host', 'host.pub', 'authorized_keys', 'sshd_config'])
    chownSync(join(folder, name), owner.uid, owner.gid)
  const { child, log } = loggedChild('/usr/sbin/sshd', ['-D', '-e', '-f', config], { cwd: folder, ...owner })
  await eventually('sshd', () => log().includes('Server listening') || child.exitCode !== null, log)
  if (child.exitCode !== null) throw new Error(`sshd ended\n${log()}`)
  const [, publicKey = ''] = readFileSync(join(folder, 'host.pub'), 'utf8').split(' ')
  return {
    port,
    username: account,
    privateKeyPem: readFileSync(join(folder, 'user'), 'utf8'),
    hostKey: `sha256:${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex')}`,
    log,
    stop: () => stopped(child),
  }
}
