import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { StringDecoder } from 'node:string_decoder'
import { connect } from 'node:tls'
import { AppError } from '@ringwall/contracts'
import { type Clock, sleep, TokenBucket } from '@ringwall/runtime'
import type { Recorder } from './recorder.ts'

const connectTimeoutMs = 10_000
/** A platform of 10,000 machines answers with some 20 MB; more than this is not an inventory. */
const maxBodyBytes = 256 * 1024 * 1024

export type HttpRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  headers?: Record<string, string>
  body?: string
  /** Of the whole exchange; long polls give more. */
  timeoutMs?: number
  signal: AbortSignal
  /** What the recorder calls it; null keeps the exchange out of recordings (sign-ins). */
  recordAs?: string | null
  /** Takes the body of any status piece by piece, and leaves none in the answer; what it throws ends the exchange. */
  consume?: (text: string, status: number) => void
}
export type HttpAnswer = { status: number; headers: IncomingHttpHeaders; body: string }
export type PinnedHttp = { send: (request: HttpRequest) => Promise<HttpAnswer>; close: () => void }

/**
 * HTTPS to one server whose leaf certificate has the pinned SHA-256. The certificate is compared when the handshake ends, before a byte of
 * a request leaves; names, dates and issuers play no part, as self-signed is normal on these platforms.
 * Errors: certificate_untrusted (another fingerprint), unavailable, timeout, body_too_large, aborted.
 */
export function createPinnedHttp(options: {
  host: string
  port: number
  /** `sha256:<hex>`. */
  fingerprint: string
  requestsPerSecond: number
  clock: Clock
  recorder: Recorder | undefined
}): PinnedHttp {
  const { host, port, fingerprint, clock, recorder } = options
  const address = `${host}:${port}`
  const bucket = new TokenBucket({
    perSecond: options.requestsPerSecond,
    burst: Math.max(1, options.requestsPerSecond),
    clock,
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  agent.createConnection = (_, done) => {
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false,
      ...(isIP(host) ? {} : { servername: host }),
    })
    const deadline = setTimeout(
      () => socket.destroy(new AppError('timeout', { what: address, timeoutMs: connectTimeoutMs })),
      connectTimeoutMs,
    )
    socket.once('secureConnect', () => {
      clearTimeout(deadline)
      const actual = fingerprintOf(socket.getPeerCertificate().fingerprint256)
      if (actual === fingerprint) return done?.(null, socket)
      socket.destroy(
        new AppError('certificate_untrusted', { address, reason: `its fingerprint is ${actual}` }),
      )
    })
    socket.once('error', (error) => {
      clearTimeout(deadline)
      done?.(error, socket)
    })
    return undefined
  }

  function exchange(request: HttpRequest): Promise<HttpAnswer> {
    const { method, path, headers = {}, body, timeoutMs = 60_000, signal, consume } = request
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => {
        if (cause instanceof AppError) return reject(cause)
        if (signal.aborted) return reject(new AppError('aborted'))
        reject(
          new AppError('unavailable', { what: address }, { cause: isUnanswered() ? staleConnection : cause }),
        )
      }
      let isAnswered = false
      const isUnanswered = () => call.reusedSocket && !isAnswered
      const call = httpsRequest({
        host,
        port,
        method,
        path,
        agent,
        signal,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      })
      const deadline = setTimeout(
        () => call.destroy(new AppError('timeout', { what: `${address} ${method} ${path}`, timeoutMs })),
        timeoutMs,
      )
      call.once('close', () => clearTimeout(deadline))
      call.once('error', fail)
      call.once('response', (response) => {
        isAnswered = true
        const status = response.statusCode ?? 0
        const chunks: Buffer[] = []
        const decoder = new StringDecoder()
        let receivedBytes = 0
        const take = (chunk: Buffer) => {
          receivedBytes += chunk.length
          if (receivedBytes > maxBodyBytes) throw new AppError('body_too_large', { maxBytes: maxBodyBytes })
          if (consume === undefined) chunks.push(chunk)
          else consume(decoder.write(chunk), status)
        }
        const end = (error: unknown) => {
          fail(error)
          call.destroy()
        }
        response.on('data', (chunk: Buffer) => {
          try {
            take(chunk)
          } catch (error) {
            end(error)
          }
        })
        response.once('error', fail)
        response.once('end', () => {
          resolve({ status, headers: response.headers, body: Buffer.concat(chunks).toString() })
        })
      })
      call.end(body)
    })
  }

  /** A server may close an idle connection in the moment we use it again; reading twice changes nothing. */
  async function exchangeAgainIfStale(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await exchange(request)
    } catch (error) {
      if (request.method !== 'GET' || !isStaleConnection(error)) throw error
      return await exchange(request)
    }
  }

  return {
    send: async (request) => {
      for (let waitMs = bucket.take(); waitMs > 0; waitMs = bucket.take()) await sleep(waitMs, request.signal)
      if (recorder === undefined || request.recordAs === null) return await exchangeAgainIfStale(request)
      const { consume, ...whole } = request
      const answer = await exchangeAgainIfStale(whole)
      recorder.record({
        request: request.recordAs ?? `${request.method} ${request.path}`,
        status: answer.status,
        body: answer.body,
      })
      if (consume === undefined) return answer
      consume(answer.body, answer.status)
      return { ...answer, body: '' }
    },
    close: () => agent.destroy(),
  }
}

const staleConnection = new Error('the server closed a connection that was kept open')

function isStaleConnection(error: unknown): boolean {
  return error instanceof AppError && error.cause === staleConnection
}

function fingerprintOf(colonHex: string | undefined): string {
  return `sha256:${(colonHex ?? '').replaceAll(':', '').toLowerCase()}`
}

/** SHA-256 of the leaf certificate that a server presents; nothing is sent. Errors: unavailable, timeout, aborted. */
export function presentedFingerprint(host: string, port: number, signal: AbortSignal): Promise<string> {
  const address = `${host}:${port}`
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host, port, rejectUnauthorized: false, ...(isIP(host) ? {} : { servername: host }) },
      () => {
        resolve(fingerprintOf(socket.getPeerCertificate().fingerprint256))
        socket.end()
      },
    )
    const onAbort = () => socket.destroy(new AppError('aborted'))
    signal.addEventListener('abort', onAbort, { once: true })
    const deadline = setTimeout(
      () => socket.destroy(new AppError('timeout', { what: address, timeoutMs: connectTimeoutMs })),
      connectTimeoutMs,
    )
    socket.once('close', () => {
      clearTimeout(deadline)
      signal.removeEventListener('abort', onAbort)
    })
    socket.once('error', (cause) =>
      reject(cause instanceof AppError ? cause : new AppError('unavailable', { what: address }, { cause })),
    )
  })
}

/** `host`, `host:port` or `https://host:port/…` of a platform. Errors: platform_address_invalid. */
export function parseHttpsAddress(address: string, defaultPort: number): { host: string; port: number } {
  const url = URL.parse(address.includes('://') ? address : `https://${address}`)
  if (url === null || url.protocol !== 'https:' || url.hostname === '' || url.username !== '')
    throw new AppError('platform_address_invalid', {
      address,
      reason: 'expected host, host:port or https://host:port',
    })
  const hasPort = /:\d+$/.test(url.host) || /:443(\/|$)/.test(address)
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: hasPort ? Number(url.port || 443) : defaultPort,
  }
}
