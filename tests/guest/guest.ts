/** A virtual machine without KVM: slow, but a kernel, a systemd and cgroups of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, waitFor } from '../e2e/harness.ts'
import type { GuestImage } from './guest-image.ts'

const bootMs = 300_000

export type Done = { code: number | null; stdout: string; stderr: string }
export type Guest = Awaited<ReturnType<typeof startGuest>>

async function finished(command: string, args: string[], input: string, timeoutMs: number): Promise<Done> {
  const child = spawn(command, args, { stdio: 'pipe' })
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  return { code, stdout, stderr }
}

/** Boots a guest and waits for its sshd, which is reached through a port of the loopback of this machine. */
export async function startGuest(
  image: GuestImage,
  options: { uuid: string; memoryMiB: number; cpus: number },
) {
  const folder = mkdtempSync(join(tmpdir(), 'ringwall-guest-'))
  const sshPort = await freePort()
  const serialPath = join(folder, 'serial.log')
  const machine: ChildProcess = spawn(
    'qemu-system-x86_64',
    [
      [
        '-machine',
        'q35',
        '-accel',
        'tcg,thread=multi,tb-size=256',
        '-cpu',
        'Westmere',
        '-uuid',
        options.uuid,
      ],
      ['-smp', String(options.cpus), '-m', String(options.memoryMiB), '-display', 'none', '-nodefaults'],
      ['-serial', `file:${serialPath}`, '-device', 'virtio-rng-pci'],
      ['-kernel', image.kernelPath, '-initrd', image.initrdPath],
      ['-append', 'root=/dev/vda rw console=ttyS0 quiet panic=5 psi=1'],
      // What the guest writes is kept while it lives, over its reboots, and no longer.
      ['-drive', `file=${image.diskPath},format=raw,if=virtio,snapshot=on,cache=unsafe`],
      ['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${sshPort}-:22`, '-device', 'virtio-net-pci,netdev=net'],
    ].flat(),
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TMPDIR: folder } },
  )
  let complaints = ''
  machine.stderr?.on('data', (chunk) => (complaints += String(chunk)))
  const ended = new Promise<void>((resolve) => machine.on('close', () => resolve()))

  const ssh = [
    ['-F', '/dev/null', '-i', image.keyPath, '-p', String(sshPort), '-l', 'root', '-o', 'BatchMode=yes'],
    ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
    // A handshake takes seconds here.
    ['-o', 'ControlMaster=auto', '-o', `ControlPath=${join(folder, 'ssh')}`, '-o', 'ControlPersist=60'],
    ['-o', 'ConnectTimeout=30', '-o', 'ServerAliveInterval=15', '127.0.0.1'],
  ].flat()
  const serial = () => readFileSync(serialPath, 'latin1')

  /** Runs a script of sh(1) as root, whatever its outcome. */
  const attempt = async (script: string, timeoutMs = 120_000): Promise<Done> =>
    await finished('ssh', [...ssh, 'sh -s'], script, timeoutMs)
  /** Runs a script that must succeed; answers what it printed. */
  async function run(script: string, timeoutMs?: number): Promise<string> {
    const { code, stdout, stderr } = await attempt(script, timeoutMs)
    if (code !== 0) throw new Error(`${script}\nended with ${code}: ${stdout}${stderr}`)
    return stdout.trim()
  }
  const bootId = async () => await run('cat /proc/sys/kernel/random/boot_id', 40_000)
  const booted = async (before: string | undefined) =>
    await waitFor(
      'the guest to be up',
      async () => {
        if (machine.exitCode !== null) throw new Error(complaints)
        const now = await bootId()
        if (now === before) return undefined
        await attempt('systemctl is-system-running --wait')
        return now
      },
      bootMs,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${complaints}\n${serial().slice(-4000)}`)
    })

  async function stop(): Promise<void> {
    machine.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await booted(undefined)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    sshPort,
    privateKeyPem: readFileSync(image.keyPath, 'utf8'),
    attempt,
    run,
    serial,
    reboot: async () => {
      const before = await bootId()
      await attempt('systemctl reboot')
      await booted(before)
    },
    stop,
  }
}
