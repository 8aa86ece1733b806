import { createHash, randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import ssh2, { type Connection, type ServerChannel } from 'ssh2'
import { packageMachine } from '../install-script.ts'

/** An SSH server that answers the commands of a push as a Linux machine would. */
export type FakeSsh = {
  port: number
  hostKey: string
  commands: string[]
  scripts: string[]
  signIns: number
  uploaded: Buffer | undefined
  uname: string | undefined
  installFailure: string | undefined
  onInstall: (machineId: string) => Promise<void>
  close: () => Promise<void>
}

async function readAll(channel: ServerChannel): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of channel) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export async function startFakeSsh(account: { username: string; password: string }): Promise<FakeSsh> {
  // Of the ed25519 keys that ssh2 makes, one in three hundred cannot be read by ssh2.
  const key = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 })
  const parsed = ssh2.utils.parseKey(key.public)
  if (parsed instanceof Error) throw parsed
  const connections = new Set<Connection>()

  async function answer(command: string, channel: ServerChannel): Promise<void> {
    fake.commands.push(command)
    const input = await readAll(channel)
    let output = ''
    let failure: string | undefined
    if (command.startsWith('uname')) output = `${fake.uname ?? `Linux ${packageMachine}`}\n0\n`
    else if (command.includes('mktemp -d')) output = '/tmp/tmp.x\n'
    else if (command.startsWith('cat > ')) fake.uploaded = input
    else if (command === 'sh -s') {
      fake.scripts.push(input.toString())
      failure = fake.installFailure
      const id = randomUUID()
      if (failure === undefined) await fake.onInstall(id)
      output = `{"enrolled":true,"id":"${id}"}\n`
    }
    if (failure === undefined) channel.write(output)
    else channel.stderr.write(`${failure}\n`)
    channel.exit(failure === undefined ? 0 : 3)
    channel.end()
  }

  const server = new ssh2.Server({ hostKeys: [key.private] }, (connection) => {
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
    connection.on('error', () => undefined)
    connection.on('authentication', (context) => {
      if (context.method !== 'password') return context.reject(['password'])
      fake.signIns += 1
      if (context.username === account.username && context.password === account.password)
        return context.accept()
      context.reject()
    })
    connection.on('session', (accept) => {
      accept().on('exec', (acceptExec, _reject, { command }) => void answer(command, acceptExec()))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const fake: FakeSsh = {
    port: (server.address() as AddressInfo).port,
    hostKey: `sha256:${createHash('sha256').update(parsed.getPublicSSH()).digest('hex')}`,
    commands: [],
    scripts: [],
    signIns: 0,
    uploaded: undefined,
    uname: undefined,
    installFailure: undefined,
    onInstall: async () => {},
    close: async () => {
      for (const connection of connections) connection.end()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return fake
}
