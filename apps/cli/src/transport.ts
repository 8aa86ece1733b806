import { request } from 'node:https'
import { AppError, type ClientTransport } from '@ringwall/contracts'

/** The center tries a platform for up to 70 s. */
const requestTimeoutMs = 90_000

/** A transport of the API client that trusts exactly one CA and checks the host name; `onCookie` gets what a session sets. */
export function createTransport(
  baseUrl: string,
  caPem: string,
  onCookie?: (cookie: string) => void,
): ClientTransport {
  const unreachable = (cause: unknown) => new AppError('unavailable', { what: baseUrl }, { cause })
  return ({ method, url, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const call = request(new URL(url, baseUrl), {
        method,
        headers,
        ca: caPem,
        timeout: requestTimeoutMs,
        ...(signal ? { signal } : {}),
      })
      call.on('response', (response) => {
        const cookie = response.headers['set-cookie']?.[0]?.split(';')[0]
        if (cookie !== undefined) onCookie?.(cookie)
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
        )
        response.on('error', (error) => reject(unreachable(error)))
      })
      call.on('timeout', () =>
        call.destroy(new AppError('timeout', { what: baseUrl, timeoutMs: requestTimeoutMs })),
      )
      call.on('error', (error) => reject(error instanceof AppError ? error : unreachable(error)))
      call.end(body)
    })
}
