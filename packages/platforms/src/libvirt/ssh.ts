import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { AppError, type PlatformCredentials } from '@ringwall/contracts'
import ssh2, { type Client, type ConnectConfig } from 'ssh2'
import type { SshEndpoint } from './endpoints.ts'
import type { Transport } from './unix.ts'

const readyTimeoutMs = 15_000
/** A host that vanished without a word is noticed after three of them. */
const keepaliveIntervalMs = 15_000

type SshError = Error & { level?: string }

/** Connects and signs in where `config` has an account. `isTrusted` sees `sha256:<hex>` of the host key before anything else happens. */
function connectClient(
  endpoint: SshEndpoint,
  config: ConnectConfig,
  isTrusted: (key: string) => boolean,
  signal: AbortSignal,
): Promise<Client> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new AppError('aborted'))
    const client = new ssh2.Client()
    const onAbort = () => {
      client.destroy()
      reject(new AppError('aborted'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const settle = () => signal.removeEventListener('abort', onAbort)
    let untrustedKey: string | null = null
    client.once('ready', () => {
      settle()
      resolve(client)
    })
    // It stays: an error without a listener would end the process.
    client.on('error', (cause: SshError) => {
      settle()
      if (untrustedKey !== null)
        reject(
          new AppError('certificate_untrusted', {
            address: endpoint.label,
            reason: `its host key is ${untrustedKey}`,
          }),
        )
      else if (cause.level === 'client-authentication')
        reject(
          new AppError(
            'platform_login_failed',
            { address: endpoint.label, account: config.username ?? '' },
            { cause },
          ),
        )
      else if (cause.level === 'client-timeout')
        reject(new AppError('timeout', { what: endpoint.label, timeoutMs: readyTimeoutMs }, { cause }))
      else reject(new AppError('unavailable', { what: endpoint.label }, { cause }))
    })
    client.once('close', () => {
      settle()
      reject(new AppError('unavailable', { what: endpoint.label }))
    })
    const hostVerifier = (key: Buffer): boolean => {
      const fingerprint = `sha256:${createHash('sha256').update(key).digest('hex')}`
      if (isTrusted(fingerprint)) return true
      untrustedKey = fingerprint
      return false
    }
    try {
      client.connect({
        host: endpoint.host,
        port: endpoint.port,
        readyTimeout: readyTimeoutMs,
        keepaliveInterval: keepaliveIntervalMs,
        hostVerifier,
        ...config,
      })
    } catch (cause) {
      settle()
      // Only a private key that cannot be read, or needs another passphrase, makes it throw at once.
      reject(
        new AppError('invalid_request', { problems: `private key: ${(cause as Error).message}` }, { cause }),
      )
    }
  })
}

/** `sha256:<hex>` of the host key; the connection is dropped before an account is named. Errors: unavailable, timeout, aborted. */
export async function presentedHostKey(endpoint: SshEndpoint, signal: AbortSignal): Promise<string> {
  let presented: string | null = null
  const refuse = (key: string) => {
    presented = key
    return false
  }
  try {
    // ssh2 wants a name from the start; the refusal comes before it would be sent.
    await connectClient(endpoint, { username: 'nobody' }, refuse, signal)
  } catch (error) {
    if (presented !== null) return presented
    throw error
  }
  throw new AppError('unavailable', { what: endpoint.label })
}

function accountOf(endpoint: SshEndpoint, credentials: PlatformCredentials): ConnectConfig {
  if (credentials.kind === 'password')
    return { username: endpoint.username ?? credentials.username, password: credentials.password }
  if (credentials.kind !== 'ssh-key')
    throw new AppError('invalid_request', { problems: `${endpoint.label} needs a password or an SSH key` })
  return {
    username: endpoint.username ?? credentials.username,
    privateKey: credentials.privateKeyPem,
    ...(credentials.passphrase === undefined ? {} : { passphrase: credentials.passphrase }),
  }
}

/**
 * Signs in to a host whose key is the pinned one and has its sshd connect to the daemon's socket (streamlocal forwarding: PROTOCOL of
 * OpenSSH, section 2.4). Errors: certificate_untrusted, platform_login_failed, platform_permission (forwarding or the socket is denied),
 * invalid_request, unavailable, timeout, aborted.
 */
export async function connectSsh(
  endpoint: SshEndpoint,
  options: { hostKey: string | undefined; credentials: PlatformCredentials; signal: AbortSignal },
): Promise<Transport> {
  const { hostKey, credentials, signal } = options
  const config = accountOf(endpoint, credentials)
  const account = config.username ?? ''
  const client = await connectClient(endpoint, config, (key) => key === hostKey, signal)
  let denied: unknown
  for (const path of endpoint.socketPaths) {
    try {
      const stream = await forwardTo(client, path, signal)
      client.once('close', () => stream.destroy())
      return { stream, account, close: () => client.end() }
    } catch (error) {
      if (signal.aborted) break
      denied = error
    }
  }
  client.end()
  if (signal.aborted) throw new AppError('aborted')
  // sshd says only that it could not; a missing socket, its mode and `AllowStreamLocalForwarding no` look the same.
  throw new AppError(
    'platform_permission',
    { account, what: 'the libvirt socket', address: endpoint.label },
    { cause: denied },
  )
}

function forwardTo(client: Client, path: string, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      client.destroy()
      reject(new AppError('aborted'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    client.openssh_forwardOutStreamLocal(path, (error, stream) => {
      signal.removeEventListener('abort', onAbort)
      if (error !== undefined && error !== null) reject(error)
      else resolve(stream)
    })
  })
}
