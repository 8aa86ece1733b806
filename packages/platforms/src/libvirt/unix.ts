import { connect, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import type { Duplex } from 'node:stream'
import { AppError } from '@ringwall/contracts'
import type { UnixEndpoint } from './endpoints.ts'

/** A connected byte stream to a daemon; `close` frees what lies under it too. */
export type Transport = { stream: Duplex; account: string; close: () => void }

/** Connects to the first socket that somebody listens on. Errors: platform_permission, unavailable, aborted. */
export async function connectUnix(endpoint: UnixEndpoint, signal: AbortSignal): Promise<Transport> {
  const account = userInfo().username
  const errors: NodeJS.ErrnoException[] = []
  for (const path of endpoint.socketPaths) {
    try {
      const stream = await connectSocket(path, signal)
      return { stream, account, close: () => stream.destroy() }
    } catch (error) {
      if (signal.aborted) throw new AppError('aborted')
      errors.push(error as NodeJS.ErrnoException)
    }
  }
  const denied = errors.find(({ code }) => code === 'EACCES' || code === 'EPERM')
  if (denied !== undefined)
    throw new AppError(
      'platform_permission',
      { account, what: 'the socket', address: endpoint.label },
      { cause: denied },
    )
  throw new AppError('unavailable', { what: endpoint.label }, { cause: errors[0] })
}

function connectSocket(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new AppError('aborted'))
    const socket = connect({ path })
    // Not the signal option of `connect`: that would end the connection long after it was made.
    const onAbort = () => socket.destroy(new AppError('aborted'))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('close', () => signal.removeEventListener('abort', onAbort))
    socket.once('error', reject)
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
