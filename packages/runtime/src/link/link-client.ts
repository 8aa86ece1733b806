import { randomUUID } from 'node:crypto'
import {
  AppError,
  type DownMessages,
  type DownType,
  downMessages,
  envelopeSchema,
  linkLimits,
  linkPath,
  protocolVersion,
  type UpMessages,
  type UpType,
} from '@ringwall/contracts'
import { WebSocket } from 'ws'
import { decodeFrame, encodeFrame } from '../framing.ts'
import type { Logger } from '../logger.ts'
import { createCsr, generateKeyPem, identityUri, renewalDueAt } from '../pki.ts'
import { fullJitterDelayMs, sleep } from '../retry.ts'
import { serverIdentityCheck, tlsErrorToAppError } from '../tls.ts'
import type { IdentityStore } from './identity-store.ts'

/** Backpressure: beyond this much unsent data, `send` refuses lossy messages and events wait in the spool. */
const maxBufferedBytes = 4 * 1024 * 1024
const handshakeTimeoutMs = 20_000
const backoff = { baseMs: 1000, capMs: 60_000 }
/** A link that lived this long is not a failing one: the next try starts from the beginning. */
const stableAfterMs = 30_000
const renewalCheckMs = 60_000

type Hello = UpMessages['hello']
/** Requests of this side, and the messages that answer them. */
type Answers = {
  'quarantine.ask': 'quarantine.answer'
  csr: 'certificate'
  verdicts: 'verdicts.ack'
  'verdicts.since': 'verdicts.page'
  'verdicts.ask': 'verdicts.answer'
  holdings: 'holdings.ack'
}
type Handlers = {
  [T in Exclude<DownType, 'split' | Answers[keyof Answers]>]?: (body: DownMessages[T]) => void
}

export type LinkState = { state: 'connecting' | 'online' | 'offline'; reason: AppError | undefined }

export type LinkClientOptions = {
  identity: IdentityStore
  logger: Logger
  hello: () => Omit<Hello, 'ratchet' | 'processNonce'>
  heartbeat: () => UpMessages['heartbeat']
  handlers: Handlers
  /** A split gave this side a new identity; called when it is stored, before the reconnect. */
  onSplit?: (newId: string, parentId: string) => void
  onState?: (state: LinkState) => void
}

export type LinkClient = {
  /** Runs the link until the signal aborts. */
  run: (signal: AbortSignal) => Promise<void>
  /** Sends to the center; false when there is no link, or it cannot take more now. */
  send: <T extends UpType>(type: T, body: UpMessages[T], id?: string) => boolean
  /** Sends and waits for the answer. Throws unavailable or timeout. */
  request: <T extends keyof Answers>(
    type: T,
    body: UpMessages[T],
    timeoutMs: number,
  ) => Promise<DownMessages[Answers[T]]>
  isOnline: () => boolean
  /** How long the center has not been heard; infinite before the first welcome. */
  silentMs: () => number
  /** Messages of types that this version does not know, or that were malformed. */
  unknownMessages: () => number
}

type Waiting = { resolve: (body: unknown) => void }

/**
 * The client side of the link, for agents and scanners: connects with the own certificate, says hello, stores the
 * ratchet before it confirms it, beats, renews the certificate, takes a new identity when the center says that
 * this one was cloned, and comes back with full jitter whenever the link is lost.
 */
export function createLinkClient(options: LinkClientOptions): LinkClient {
  const { identity, logger } = options
  const processNonce = randomUUID()
  const waiting = new Map<string, Waiting>()
  let socket: WebSocket | undefined
  let isWelcome = false
  let heardAtMs = Number.NEGATIVE_INFINITY
  let unknown = 0

  const setState = (state: LinkState['state'], reason?: AppError) => options.onState?.({ state, reason })

  const send: LinkClient['send'] = (type, body, id) => {
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > maxBufferedBytes) return false
    if (!isWelcome && type !== 'hello' && type !== 'welcome.ok' && type !== 'csr') return false
    socket.send(encodeFrame({ v: protocolVersion, type, ...(id === undefined ? {} : { id }), body }))
    return true
  }

  const request: LinkClient['request'] = async (type, body, timeoutMs) => {
    const id = randomUUID()
    const answer = new Promise<never>((resolve) =>
      waiting.set(id, { resolve: (answered) => resolve(answered as never) }),
    )
    const aborter = new AbortController()
    try {
      if (!send(type, body, id)) throw new AppError('unavailable', { what: 'center' })
      const timedOut = sleep(timeoutMs, aborter.signal).then(() => {
        throw new AppError('timeout', { what: 'center', timeoutMs })
      })
      timedOut.catch(() => undefined)
      return await Promise.race([answer, timedOut])
    } finally {
      aborter.abort()
      waiting.delete(id)
    }
  }

  /** Gets a certificate for a new key and makes it the identity, in one replacement of the file. */
  async function rekey(reason: 'renewal' | 'split'): Promise<void> {
    const keyPem = generateKeyPem()
    const csrPem = await createCsr(keyPem, identity.current().role)
    const certificate = await request('csr', { csrPem, reason }, handshakeTimeoutMs)
    identity.update({
      id: certificate.id,
      keyPem,
      certificatePem: certificate.certificatePem,
      caPem: certificate.caPem,
      ...(reason === 'split' ? { ratchet: '' } : {}),
    })
    logger.info({ id: certificate.id, reason }, 'took a new certificate')
    socket?.close(1000)
  }

  async function onSplit({ newId, parentId }: DownMessages['split']): Promise<void> {
    logger.warn(
      { newId, parentId },
      'this identity is in use on another machine: taking an identity of our own',
    )
    await rekey('split')
    options.onSplit?.(newId, parentId)
  }

  function onWelcome(body: DownMessages['welcome']): void {
    identity.update({ ratchet: body.ratchet })
    send('welcome.ok', { ratchet: body.ratchet })
    isWelcome = true
    heardAtMs = performance.now()
    setState('online')
    options.handlers.welcome?.(body)
  }

  function dispatch(type: DownType, body: unknown, id: string | undefined): void {
    const pending = id === undefined ? undefined : waiting.get(id)
    if (pending !== undefined) pending.resolve(body)
    else if (type === 'welcome') onWelcome(body as DownMessages['welcome'])
    else if (type === 'split')
      void onSplit(body as DownMessages['split']).catch((error: unknown) =>
        logger.error({ error }, 'the split failed; trying again with the next link'),
      )
    else if (type in options.handlers)
      (options.handlers as Record<string, (body: unknown) => void>)[type]?.(body)
    if (type === 'bye') logger.warn({ bye: body }, 'the center ends the link')
  }

  function onFrame(data: Buffer, isBinary: boolean): void {
    try {
      const envelope = envelopeSchema.parse(
        decodeFrame(isBinary ? data : data.toString(), { maxBytes: linkLimits.maxFrameBytes * 4 }),
      )
      const schema = downMessages[envelope.type as DownType]
      if (schema === undefined) {
        unknown += 1
        return
      }
      dispatch(envelope.type as DownType, schema.parse(envelope.body), envelope.id)
    } catch (error) {
      unknown += 1
      logger.warn({ error }, 'a message of the center could not be read')
    }
  }

  /** One connection from hello to its end. Resolves with how long it was welcome, and why it ended. */
  function connectOnce(
    signal: AbortSignal,
  ): Promise<{ livedMs: number; reason: AppError | undefined; retryAfterMs: number }> {
    const { center, keyPem, certificatePem, caPem } = identity.current()
    const address = `${center.host}:${center.port}`
    const startedAtMs = performance.now()
    let lastSignMs = startedAtMs
    let reason: AppError | undefined
    let retryAfterMs = 0
    const host = center.host.includes(':') ? `[${center.host}]` : center.host
    const opened = new WebSocket(`wss://${host}:${center.port}${linkPath}`, {
      key: keyPem,
      cert: certificatePem,
      ca: caPem,
      minVersion: 'TLSv1.3',
      checkServerIdentity: serverIdentityCheck(identityUri('center')),
      handshakeTimeout: handshakeTimeoutMs,
      maxPayload: linkLimits.maxFrameBytes * 2,
      perMessageDeflate: false,
    } as ConstructorParameters<typeof WebSocket>[2])
    socket = opened
    isWelcome = false
    setState('connecting')
    const beat = setInterval(() => {
      if (performance.now() - lastSignMs > linkLimits.offlineAfterMs) return opened.terminate()
      if (isWelcome) send('heartbeat', options.heartbeat())
      if (opened.readyState === WebSocket.OPEN) opened.ping()
    }, linkLimits.heartbeatIntervalMs)
    const sign = () => {
      lastSignMs = performance.now()
      if (isWelcome) heardAtMs = lastSignMs
    }
    opened.on('open', () => {
      sign()
      opened.send(
        encodeFrame({
          v: protocolVersion,
          type: 'hello',
          body: { ...options.hello(), processNonce, ratchet: identity.current().ratchet } satisfies Hello,
        }),
      )
    })
    opened.on('message', (data: Buffer, isBinary) => {
      sign()
      onFrame(data, isBinary)
    })
    opened.on('ping', sign).on('pong', sign)
    opened.on('unexpected-response', (call, response) => {
      retryAfterMs = Number(response.headers['retry-after'] ?? 0) * 1000
      reason =
        response.statusCode === 401
          ? new AppError('certificate_revoked', { serial: '' })
          : new AppError('unavailable', { what: address })
      response.resume()
      call.destroy()
      opened.terminate()
    })
    opened.on('error', (error) => {
      reason ??= tlsErrorToAppError(error, address)
    })
    const onAbort = () => opened.close(1001)
    signal.addEventListener('abort', onAbort, { once: true })
    return new Promise((resolve) => {
      opened.on('close', () => {
        clearInterval(beat)
        signal.removeEventListener('abort', onAbort)
        const wasWelcome = isWelcome
        isWelcome = false
        socket = undefined
        resolve({ livedMs: wasWelcome ? performance.now() - startedAtMs : 0, reason, retryAfterMs })
      })
      if (signal.aborted) opened.terminate()
    })
  }

  async function renewWhenDue(): Promise<void> {
    if (!isWelcome || renewalDueAt(identity.current().certificatePem).getTime() > Date.now()) return
    await rekey('renewal').catch((error: unknown) =>
      logger.warn({ error }, 'the certificate could not be renewed; trying again'),
    )
  }

  async function run(signal: AbortSignal): Promise<void> {
    const renewal = setInterval(() => void renewWhenDue(), renewalCheckMs)
    const firstRenewal = setTimeout(() => void renewWhenDue(), 5_000)
    try {
      for (let attempt = 0; !signal.aborted; attempt += 1) {
        const ended = await connectOnce(signal)
        if (signal.aborted) break
        setState('offline', ended.reason)
        if (ended.reason !== undefined)
          logger.warn({ code: ended.reason.code, params: ended.reason.params }, 'no link to the center')
        if (ended.livedMs > stableAfterMs || (ended.livedMs > 0 && ended.reason === undefined)) attempt = 0
        const delayMs =
          ended.livedMs > 0 && ended.reason === undefined
            ? 100 + Math.random() * 400
            : fullJitterDelayMs({ attempt, ...backoff })
        await sleep(Math.max(delayMs, ended.retryAfterMs), signal).catch(() => undefined)
      }
    } finally {
      clearInterval(renewal)
      clearTimeout(firstRenewal)
      setState('offline')
    }
  }

  return {
    run,
    send,
    request,
    isOnline: () => isWelcome,
    silentMs: () => performance.now() - heardAtMs,
    unknownMessages: () => unknown,
  }
}
