/** The HTTPS half of a simulator: a self-signed certificate, and faults that can be switched on while it runs. */

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { sleep } from '@ringwall/runtime'
import { selfSignedCertificate } from './tls.ts'

export type SimulatedRequest = {
  method: string
  /** Path and query as they were sent. */
  target: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  body: string
}
export type SimulatedAnswer = { status: number; type: string; body: string; headers?: Record<string, string> }

/** What goes wrong with the next `times` requests whose line (`GET /path?query`) matches. */
export type Fault = { match: RegExp; times: number } & (
  | { kind: 'status'; status: number }
  /** The body ends in its middle, and the answer says nothing of it. */
  | { kind: 'truncate' }
  /** The connection ends in the middle of the body. */
  | { kind: 'cut' }
  | { kind: 'slow'; delayMs: number }
)

export type SimulatorServer = {
  /** `127.0.0.1:<port>`. */
  address: string
  /** `sha256:<hex>` of its certificate. */
  fingerprint: string
  /** Lines of the last requests, oldest first. */
  requests: string[]
  inject: (fault: Fault) => void
  clearFaults: () => void
  close: () => Promise<void>
}

const maxRequestBytes = 1_000_000
const maxRequestsKept = 5_000

export async function startSimulatorServer(options: {
  name: string
  port?: number
  answer: (request: SimulatedRequest) => SimulatedAnswer
}): Promise<SimulatorServer> {
  const { cert, key, fingerprint } = await selfSignedCertificate(options.name)
  let faults: Fault[] = []
  const requests: string[] = []
  const server = createServer({ cert, key }, (request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request)
    const url = new URL(request.url ?? '/', 'https://simulator')
    const line = `${request.method} ${decodeURIComponent(url.pathname + url.search)}`
    requests.push(line)
    if (requests.length > maxRequestsKept) requests.shift()
    const fault = faults.find(({ match, times }) => times > 0 && match.test(line))
    if (fault !== undefined) fault.times -= 1
    if (fault?.kind === 'slow') await sleep(fault.delayMs)
    const answer = options.answer({
      method: request.method ?? 'GET',
      target: request.url ?? '/',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body,
    })
    const bytes = Buffer.from(answer.body)
    const half = bytes.subarray(0, bytes.length >> 1)
    const status = fault?.kind === 'status' ? fault.status : answer.status
    const sent = fault?.kind === 'truncate' ? half : fault?.kind === 'status' ? Buffer.alloc(0) : bytes
    response.writeHead(status, {
      'content-type': answer.type,
      'content-length': sent.length,
      ...answer.headers,
    })
    if (fault?.kind !== 'cut') return void response.end(sent)
    response.write(half)
    await sleep(20)
    response.destroy()
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const bound = server.address()
  return {
    address: `127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`,
    fingerprint,
    requests,
    inject: (fault) => void faults.push({ ...fault }),
    clearFaults: () => {
      faults = []
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of request) {
    sizeBytes += chunk.length
    if (sizeBytes > maxRequestBytes) throw new RangeError('the request is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
