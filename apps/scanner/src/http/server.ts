import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import {
  AppError,
  contentVersionHeader,
  lookupCodes,
  type ScannerHealth,
  scannerLimits,
} from '@ringwall/contracts'
import {
  type IdentityStore,
  type Logger,
  type PeerIdentity,
  readIdentity,
  Semaphore,
} from '@ringwall/runtime'
import type { Claims } from '../cache/claims.ts'
import type { VerdictStore } from '../cache/verdict-store.ts'
import type { ManifestRoutes } from '../manifests/manifest-routes.ts'
import type { Judge, JudgeOutcome } from '../pipeline/judge.ts'
import type { Asked } from '../sharing/exchange.ts'
import { announcedBytes, readBody, streamBody } from './body.ts'
import { parseFramedContents } from './framed-contents.ts'
import type { TempFiles } from './temp-files.ts'

/** Larger contents go through a file. */
const memoryContentBytes = 8 * 1024 * 1024
const maxConnections = 20_000
const requestTimeoutMs = 10 * 60_000

export type ServerFigures = {
  lookups: number
  hits: number
  /** Hits that the center answered. */
  centerHits: number
  uploads: number
  joinedUploads: number
  uploadedBytes: number
}

export type ServerOptions = {
  identity: IdentityStore
  store: VerdictStore
  claims: Claims
  judge: Judge
  tempFiles: TempFiles
  manifests: ManifestRoutes
  maxContentBytes: number
  inFlightBytes: number
  contentVersion: () => string
  health: () => ScannerHealth
  /** Asks what other scanners know of hashes, and keeps it. */
  askCenter: (hashes: Buffer[]) => Promise<Asked>
  /** A content was brought and found clean. */
  onClean: (sha256: Buffer, bytes: Buffer) => void
  onDiskFull: (error: AppError) => void
  logger: Logger
}

type Peer = Pick<PeerIdentity, 'kind' | 'id'> & { certificatePem: () => string }

type Call = {
  request: IncomingMessage
  response: ServerResponse
  url: URL
  holder: string
  certificatePem: () => string
  signal: AbortSignal
}

/** The scanner's HTTPS interface; see contracts/malware/scanner.ts. Only agents of the own center get in. */
export function createScannerServer(options: ServerOptions) {
  const { store, claims, judge, logger, identity } = options
  const figures: ServerFigures = {
    lookups: 0,
    hits: 0,
    centerHits: 0,
    uploads: 0,
    joinedUploads: 0,
    uploadedBytes: 0,
  }
  const peers = new WeakMap<TLSSocket, Peer>()
  const memory = new Semaphore({ capacity: options.inFlightBytes, maxWaiting: 512 })

  type Lookup = { hashes: Buffer; codes: Buffer; holder: string; isFresh: boolean }

  /**
   * What is not known here may be known elsewhere, and nothing travels that another scanner has judged or is getting.
   * The rest is wanted, once. Answers the hashes that others bring.
   */
  async function settleStrangers(call: Lookup, places: number[]): Promise<string[]> {
    const { hashes, codes, holder, isFresh } = call
    const hexAt = (place: number) => hashes.toString('hex', place * 32, place * 32 + 32)
    const unheard = places.filter((place) => !judge.isUnderWay(hexAt(place)))
    const asked = await options.askCenter(
      unheard.map((place) => hashes.subarray(place * 32, place * 32 + 32)),
    )
    figures.centerHits += asked.taken
    const pending: string[] = []
    for (const place of places) {
      const known = store.lookup(hashes, place * 32, isFresh)
      if (known !== undefined) {
        codes[place] = known
        continue
      }
      const hex = hexAt(place)
      const isWanted = !asked.elsewhere.has(hex) && !judge.isUnderWay(hex) && claims.claim(hex, holder)
      codes[place] = isWanted ? lookupCodes.wanted : lookupCodes.pending
      if (!isWanted) pending.push(hex)
    }
    return pending
  }

  async function lookup({ request, response, url, holder }: Call): Promise<void> {
    const sizeBytes = announcedBytes(request, scannerLimits.maxLookupHashes * 32)
    if (sizeBytes % 32 !== 0)
      throw new AppError('invalid_request', { problems: 'the body is no multiple of 32 bytes' })
    const waitMs = Math.min(
      scannerLimits.maxWaitMs,
      Math.max(0, Number(url.searchParams.get('waitMs') ?? 0) || 0),
    )
    const hashes = await readBody(request, sizeBytes)
    const codes = Buffer.alloc(sizeBytes / 32)
    const call = { hashes, codes, holder, isFresh: url.searchParams.get('fresh') === '1' }
    let strangers = store.lookupAll(hashes, codes, call.isFresh)
    if (strangers.length > 0) {
      const pending = await settleStrangers(call, strangers)
      if (waitMs > 0 && pending.length > 0 && !codes.includes(lookupCodes.wanted)) {
        await claims.wait(pending, waitMs)
        await settleStrangers(call, strangers)
      }
      strangers = strangers.filter((place) => (codes[place] ?? 0) < lookupCodes.clean)
    }
    figures.lookups += codes.length
    figures.hits += codes.length - strangers.length
    send(response, 200, codes, 'application/octet-stream')
  }

  /** Judges a content in memory, joined with whoever brings the same at the same time. */
  function judgeBytes(sha256: Buffer, bytes: Buffer): Promise<JudgeOutcome> {
    const hex = sha256.toString('hex')
    const known = store.lookup(sha256, 0, true)
    if (known !== undefined) {
      claims.settle(hex)
      return Promise.resolve({ code: known, verdict: undefined })
    }
    const joined = judge.join(hex)
    if (joined !== undefined) {
      figures.joinedUploads += 1
      return joined
    }
    figures.uploads += 1
    figures.uploadedBytes += bytes.length
    const judged = judgeBrought(sha256, bytes)
    judge.begin(hex, judged)
    return judged
  }

  async function judgeBrought(sha256: Buffer, bytes: Buffer): Promise<JudgeOutcome> {
    const outcome = await judge.judge({ sha256, content: { kind: 'bytes', bytes } }, bytes.length)
    if (outcome.code === lookupCodes.clean) options.onClean(sha256, bytes)
    return outcome
  }

  async function contents({ request, response, signal }: Call): Promise<void> {
    const sizeBytes = announcedBytes(
      request,
      scannerLimits.maxBatchBytes + 36 * scannerLimits.maxLookupHashes,
    )
    const release = await acquireMemory(sizeBytes, signal)
    try {
      const framed = parseFramedContents(await readBody(request, sizeBytes), scannerLimits.smallContentBytes)
      const codes = await Promise.all(
        framed.map(async ({ sha256, bytes }) => {
          if (!createHash('sha256').update(bytes).digest().equals(sha256)) return lookupCodes.hashMismatch
          return (await judgeBytes(sha256, bytes)).code
        }),
      )
      send(response, 200, Buffer.from(codes), 'application/octet-stream')
    } finally {
      release()
    }
  }

  async function acquireMemory(sizeBytes: number, signal: AbortSignal): Promise<() => void> {
    try {
      return await memory.acquire(sizeBytes, signal)
    } catch (error) {
      throw error instanceof AppError && error.code === 'too_many_requests'
        ? new AppError('scanner_busy', { retryAfterSeconds: 2 })
        : error
    }
  }

  async function receive(
    { request, signal }: Call,
    sha256: Buffer,
    sizeBytes: number,
  ): Promise<JudgeOutcome> {
    if (sizeBytes <= memoryContentBytes) {
      const release = await acquireMemory(sizeBytes, signal)
      try {
        const bytes = await readBody(request, sizeBytes)
        checkHash(createHash('sha256').update(bytes).digest(), sha256)
        return await judgeBrought(sha256, bytes)
      } finally {
        release()
      }
    }
    const file = await options.tempFiles.reserve(sizeBytes, signal)
    try {
      checkHash(await streamBody(request, file.path, sizeBytes), sha256)
      return await judge.judge({ sha256, content: { kind: 'file', path: file.path, sizeBytes } }, sizeBytes)
    } finally {
      file.release()
    }
  }

  /** Ends when the content is judged: by the upload that is under way, or, if that fails or there is none, by this one. */
  async function bring(
    call: Call,
    sha256: Buffer,
    sizeBytes: number,
    mayContinue: () => void,
  ): Promise<void> {
    const hex = sha256.toString('hex')
    for (let joined = judge.join(hex); joined !== undefined; joined = judge.join(hex)) {
      const outcome = await joined.catch(() => undefined)
      if (outcome === undefined || outcome.code === lookupCodes.failed) continue
      figures.joinedUploads += 1
      call.request.resume()
      return
    }
    figures.uploads += 1
    figures.uploadedBytes += sizeBytes
    const judged = receive(call, sha256, sizeBytes)
    judge.begin(hex, judged)
    mayContinue()
    if ((await judged).code === lookupCodes.failed)
      throw new AppError('unavailable', { what: 'verdict store' })
  }

  async function content(call: Call, hex: string, mayContinue: () => void): Promise<void> {
    const sha256 = Buffer.from(hex, 'hex')
    const sizeBytes = announcedBytes(call.request, options.maxContentBytes)
    const known = store.lookup(sha256, 0, true)
    if (known !== undefined) call.request.resume()
    else await bring(call, sha256, sizeBytes, mayContinue)
    sendJson(call.response, 200, store.verdict(sha256))
  }

  function verdict({ response }: Call, hex: string): void {
    const found = store.verdict(Buffer.from(hex, 'hex'))
    if (found === undefined) throw new AppError('not_found', { kind: 'verdict', id: hex })
    sendJson(response, 200, found)
  }

  async function route(call: Call, mayContinue: () => void): Promise<void> {
    const { request, response, url } = call
    const hex = /^\/v1\/(?:content|verdict)\/([0-9a-f]{64})$/.exec(url.pathname)?.[1]
    if (request.method === 'POST' && url.pathname === '/v1/lookup') return await lookup(call)
    if (request.method === 'POST' && url.pathname === '/v1/contents') return await contents(call)
    if (request.method === 'PUT' && hex !== undefined) return await content(call, hex, mayContinue)
    if (request.method === 'GET' && hex !== undefined) return verdict(call, hex)
    if (request.method === 'GET' && url.pathname === '/v1/health')
      return sendJson(response, 200, options.health())
    if (await options.manifests(call, mayContinue)) return
    throw new AppError('not_found', { kind: 'route', id: `${request.method} ${url.pathname}`.slice(0, 200) })
  }

  function send(
    response: ServerResponse,
    status: number,
    body: Buffer,
    type: string,
    headers: Record<string, string> = {},
  ): void {
    response.writeHead(status, {
      'content-type': type,
      'content-length': body.length,
      [contentVersionHeader]: options.contentVersion(),
      ...headers,
    })
    response.end(body)
  }

  function sendJson(
    response: ServerResponse,
    status: number,
    value: unknown,
    type = 'application/json',
    headers: Record<string, string> = {},
  ): void {
    send(response, status, Buffer.from(JSON.stringify(value ?? null)), type, headers)
  }

  function sendProblem({ request, response }: Pick<Call, 'request' | 'response'>, error: unknown): void {
    const known =
      error instanceof AppError ? error : new AppError('internal', { errorId: 'scanner' }, { cause: error })
    if (known.code === 'internal') logger.error({ error }, 'a request failed')
    if (known.code === 'disk_full') options.onDiskFull(known)
    if (response.headersSent || response.destroyed) return
    const retryAfter = known.params.retryAfterSeconds
    const headers = {
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
      ...(request.complete ? {} : { connection: 'close' }),
    }
    const problem = {
      type: `urn:ringwall:error:${known.code}`,
      title: known.message,
      status: known.status,
      code: known.code,
      params: known.params,
    }
    // Codes of our own beyond HTTP's (495, 499) would confuse proxies less than a wrong one.
    sendJson(response, known.status, problem, 'application/problem+json', headers)
  }

  /** Read once for a connection: taking a certificate apart costs more than looking up a hundred hashes. */
  function peerOf(socket: TLSSocket): Peer | undefined {
    const known = peers.get(socket)
    if (known !== undefined) return known
    const certificate = socket.getPeerX509Certificate()
    const identity = certificate === undefined ? undefined : readIdentity(certificate)
    if (certificate === undefined || identity === undefined) return undefined
    const peer = { kind: identity.kind, id: identity.id, certificatePem: () => certificate.toString() }
    peers.set(socket, peer)
    return peer
  }

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    mayContinue: () => void,
  ): Promise<void> {
    const aborter = new AbortController()
    response.on('close', () => response.writableFinished || aborter.abort())
    const peer = peerOf(request.socket as TLSSocket)
    const url = new URL(request.url ?? '/', 'https://scanner')
    try {
      if (peer?.kind !== 'agent' && peer?.kind !== 'scanner') throw new AppError('certificate_required')
      const { id: holder, certificatePem } = peer
      const call = { request, response, url, holder, certificatePem, signal: aborter.signal }
      await route(call, mayContinue)
    } catch (error) {
      sendProblem({ request, response }, error)
    }
  }

  const tls = () => {
    const { keyPem, certificatePem, caPem } = identity.current()
    return { key: keyPem, cert: certificatePem, ca: caPem }
  }
  const server = createServer({
    ...tls(),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  })
  server.maxConnections = maxConnections
  server.requestTimeout = requestTimeoutMs
  server.keepAliveTimeout = 120_000
  server.on('request', (request, response) => void handle(request, response, () => undefined))
  server.on(
    'checkContinue',
    (request, response) => void handle(request, response, () => response.writeContinue()),
  )
  server.on('tlsClientError', (error) => logger.debug({ error: error.message }, 'a TLS client was refused'))
  return { server, figures, renewCertificate: () => server.setSecureContext(tls()) }
}

function checkHash(actual: Buffer, expected: Buffer): void {
  if (!actual.equals(expected))
    throw new AppError('hash_mismatch', {
      actual: actual.toString('hex'),
      expected: expected.toString('hex'),
    })
}
