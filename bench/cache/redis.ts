/** Redis as a peer of the verdict cache: the same contents, asked with MGET over mutual TLS. Package redis-tools. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { waitFor } from '../../tests/e2e/harness.ts'
import { contentHash, redisValue } from './contents.ts'

/** The server itself, under the name that Debian gives it in redis-tools; redis-server would start a service. */
const program = '/usr/bin/redis-check-rdb'
const commandsAtOnce = 20_000
const ok = Buffer.from('+OK\r\n')

/** Such as 7.0.15; undefined where there is none. */
export function redisVersion(): string | undefined {
  const { stdout } = spawnSync(program, ['--version'], { argv0: 'redis-server', encoding: 'utf8' })
  return /v=(\S+)/.exec(stdout ?? '')?.[1]
}

export type Redis = { pid: number; kill: () => Promise<void>; socketPath: string }

async function dial(path: string): Promise<Socket> {
  const socket = connect(path)
  await once(socket, 'connect')
  return socket
}

/** Sends one command and waits for the first line of the answer. */
export async function redisCommand(socketPath: string, command: string): Promise<string> {
  const socket = await dial(socketPath)
  socket.write(`${command}\r\n`)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return answer.toString().split('\r\n')[0] ?? ''
}

/** Starts a server that keeps its files in `dir`; resolves when it answers, after it has loaded what is there. */
export async function startRedis(
  dir: string,
  port: number,
  identity: { keyPem: string; certificatePem: string; caPem: string },
): Promise<Redis> {
  const fileOf = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 })
    return join(dir, name)
  }
  const socketPath = join(dir, 'redis.sock')
  rmSync(socketPath, { force: true })
  const child: ChildProcess = spawn(
    program,
    [
      ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'yes'],
      ...['--tls-key-file', fileOf('key.pem', identity.keyPem)],
      ...['--tls-cert-file', fileOf('certificate.pem', identity.certificatePem)],
      ...['--tls-ca-cert-file', fileOf('ca.pem', identity.caPem)],
      ...['--dir', dir, '--unixsocket', socketPath, '--save', '', '--appendonly', 'no'],
    ],
    { argv0: 'redis-server', stdio: 'ignore' },
  )
  const ended = once(child, 'close')
  await waitFor(
    'redis',
    async () => ((await redisCommand(socketPath, 'PING')) === '+PONG' ? true : undefined),
    300_000,
  )
  return {
    pid: child.pid ?? 0,
    socketPath,
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Puts contents 0 … entries. */
export async function fillRedis(socketPath: string, entries: number): Promise<void> {
  const socket = await dial(socketPath)
  let answered = 0
  socket.on('data', (chunk: Buffer) => {
    answered += chunk.length
  })
  const tail = Buffer.from(`\r\n$${redisValue.length}\r\n${redisValue}\r\n`)
  const head = Buffer.from('*3\r\n$3\r\nSET\r\n$32\r\n')
  for (let number = 0; number < entries; ) {
    const parts: Buffer[] = []
    for (; parts.length < commandsAtOnce * 3 && number < entries; number += 1)
      parts.push(head, contentHash(number), tail)
    if (!socket.write(Buffer.concat(parts))) await once(socket, 'drain')
  }
  while (answered < entries * ok.length) await once(socket, 'data')
  socket.destroy()
}
