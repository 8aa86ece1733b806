/** Programs of this machine that peers are made of. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

const readyMs = 60_000

/** What is missing here; empty when the peers can run. */
export function missingPrograms(...names: string[]): string[] {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/bin']
  const missing = names.filter((name) => !folders.some((folder) => existsSync(join(folder, name))))
  if (process.getuid?.() !== 0) return [...missing, 'root (to become another account)']
  const canRename = spawnSync('unshare', ['-u', 'true'], { stdio: 'ignore' }).status === 0
  return canRename ? missing : [...missing, 'UTS namespaces (to give each daemon a host name)']
}

export async function eventually(what: string, look: () => boolean, log: () => string): Promise<void> {
  for (const untilMs = Date.now() + readyMs; !look(); await new Promise((done) => setTimeout(done, 50)))
    if (Date.now() > untilMs) throw new Error(`waited in vain for ${what}\n${log()}`)
}

export function loggedChild(
  command: string,
  args: string[],
  options: object,
): { child: ChildProcess; log: () => string } {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let log = ''
  child.stdout?.on('data', (chunk) => (log += String(chunk)))
  child.stderr?.on('data', (chunk) => (log += String(chunk)))
  return { child, log: () => log }
}

export async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGTERM')
  const last = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await closed
  clearTimeout(last)
}

export async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
