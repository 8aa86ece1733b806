import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { AppError } from '@ringwall/contracts'
import ssh2, { type ConnectConfig } from 'ssh2'

const readyTimeoutMs = 20_000
const keepaliveIntervalMs = 15_000
/** Of what a command prints; the rest is left unread in memory. */
const maxOutputBytes = 64 * 1024

export type SshAccount = {
  username: string
  password?: string | undefined
  privateKeyPem?: string | undefined
  passphrase?: string | undefined
}
export type SshSession = {
  /** Runs a command line in the account's shell; `stdin` is sent and then closed. Errors: unavailable, aborted. */
  run: (
    command: string,
    stdin?: string | Readable,
  ) => Promise<{ exitCode: number; stdout: string; stderr: string }>
  close: () => void
}

/**
 * Signs in over SSH. `acceptHostKey` sees `sha256:<hex>` of the host key before anything secret leaves, and throws to refuse it.
 * Errors: what `acceptHostKey` throws, ssh_login_failed, invalid_request (private key), unavailable, timeout, aborted.
 */
export function openSshSession(options: {
  host: string
  port: number
  account: SshAccount
  acceptHostKey: (fingerprint: string) => void
  signal: AbortSignal
}): Promise<SshSession> {
  const { host, port, account, acceptHostKey, signal } = options
  const address = port === 22 ? host : `${host}:${port}`
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new AppError('aborted'))
    const client = new ssh2.Client()
    let refusal: unknown
    const onAbort = () => client.destroy()
    const toError = (cause?: Error & { level?: string }): unknown => {
      if (signal.aborted) return new AppError('aborted')
      if (refusal !== undefined) return refusal
      if (cause?.level === 'client-authentication')
        return new AppError('ssh_login_failed', { address, account: account.username }, { cause })
      if (cause?.level === 'client-timeout')
        return new AppError('timeout', { what: address, timeoutMs: readyTimeoutMs }, { cause })
      return new AppError('unavailable', { what: address }, { cause })
    }
    // It stays after the sign-in: an error without a listener would end the process.
    client.on('error', (cause) => reject(toError(cause)))
    client.once('close', () => {
      signal.removeEventListener('abort', onAbort)
      reject(toError())
    })
    client.once('ready', () =>
      resolve({ run: (command, stdin) => run(client, command, stdin, toError), close: () => client.end() }),
    )
    signal.addEventListener('abort', onAbort, { once: true })
    const config: ConnectConfig = {
      host,
      port,
      username: account.username,
      readyTimeout: readyTimeoutMs,
      keepaliveInterval: keepaliveIntervalMs,
      ...(account.password === undefined ? {} : { password: account.password }),
      ...(account.privateKeyPem === undefined ? {} : { privateKey: account.privateKeyPem }),
      ...(account.passphrase === undefined ? {} : { passphrase: account.passphrase }),
      hostVerifier: (key: Buffer) => {
        try {
          acceptHostKey(`sha256:${createHash('sha256').update(key).digest('hex')}`)
          return true
        } catch (error) {
          refusal = error
          return false
        }
      },
    }
    try {
      client.connect(config)
    } catch (cause) {
      // A private key that cannot be read, or needs another passphrase.
      signal.removeEventListener('abort', onAbort)
      reject(
        new AppError('invalid_request', { problems: `private key: ${(cause as Error).message}` }, { cause }),
      )
    }
  })
}

function run(
  client: ssh2.Client,
  command: string,
  stdin: string | Readable | undefined,
  toError: (cause?: Error) => unknown,
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(toError())
    client.once('close', onClose)
    client.exec(command, (failure, channel) => {
      if (failure !== undefined) return reject(toError(failure))
      const collect = (stream: Readable) => {
        let text = ''
        stream.on('data', (chunk: Buffer) => {
          if (text.length < maxOutputBytes) text += chunk.toString()
        })
        return () => text
      }
      const stdout = collect(channel)
      const stderr = collect(channel.stderr)
      let exitCode = -1
      channel.on('exit', (code: number | null) => {
        exitCode = code ?? -1
      })
      channel.on('close', () => {
        client.off('close', onClose)
        resolve({ exitCode, stdout: stdout(), stderr: stderr() })
      })
      // The other side may end before it read everything; its exit code tells.
      channel.on('error', () => undefined)
      if (stdin === undefined || typeof stdin === 'string') channel.end(stdin ?? '')
      else {
        stdin.once('error', (cause) => {
          channel.destroy()
          reject(toError(cause))
        })
        stdin.pipe(channel)
      }
    })
  })
}
