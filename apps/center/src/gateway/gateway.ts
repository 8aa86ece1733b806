import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import {
  AppError,
  type EnrolRequest,
  type EnrolResponse,
  enrolRequestSchema,
  linkLimits,
  linkPath,
  type UpMessages,
} from '@ringwall/contracts'
import { type PeerIdentity, readIdentity, TokenBucket } from '@ringwall/runtime'
import { sql } from 'kysely'
import { WebSocketServer } from 'ws'
import type { LinkPeer, SliceParts } from '../app/slice.ts'
import type { Core, Links } from '../core/core.ts'
import { toAppError, toProblem, validationError } from '../http/problems.ts'
import { findPeer, saveHeartbeat, setOffline } from '../slices/fleet/peer-store.ts'
import type { Ingest } from './ingest.ts'
import { LinkSession, type SessionServices } from './link-session.ts'

const maxEnrolBytes = 64 * 1024
/** A heartbeat is written at most this often; the newest is kept in memory between. */
const heartbeatWriteMs = 10_000

export type Gateway = {
  links: Links
  listen: (bind: string, port: number) => Promise<number>
  /** Ends what is silent, tells who stayed away; to be run every few seconds. */
  sweep: () => Promise<void>
  renewCertificate: () => Promise<void>
  close: () => Promise<void>
}

export type GatewayOptions = {
  core: () => Core
  slices: () => SliceParts[]
  ingest: Ingest
  enrol: (request: EnrolRequest) => Promise<EnrolResponse>
  pushDesired: (id: string) => Promise<void>
  certificate: { keyPem: string; certificatePem: string }
  caPem: string
}

/** The agents' door: enrolment, the content of scanners, and the link. */
export function createGateway(options: GatewayOptions): Gateway {
  const { core, ingest, pushDesired } = options
  const sessions = new Map<string, LinkSession>()
  const lastSign = new Map<string, number>()
  const lastWrite = new Map<string, number>()
  const offlineSince = new Map<string, { peer: LinkPeer; atMs: number }>()
  const nowMs = () => performance.now()
  const buckets = () => {
    const { connectionsPerSecond, enrolmentsPerSecond } = core().config
    return {
      connections: new TokenBucket({ perSecond: connectionsPerSecond, burst: connectionsPerSecond }),
      enrolments: new TokenBucket({ perSecond: enrolmentsPerSecond, burst: enrolmentsPerSecond }),
    }
  }
  let admission: ReturnType<typeof buckets> | undefined
  const admit = (kind: 'connections' | 'enrolments') => {
    admission ??= buckets()
    const waitMs = admission[kind].take()
    if (waitMs === 0) return
    core().figures.refusedConnections += 1
    throw new AppError('enrolment_admission', { retryAfterSeconds: Math.ceil(waitMs / 1000) })
  }

  const changed = (peer: LinkPeer) =>
    core().live.publish({
      type: 'changed',
      object: peer.kind === 'agent' ? 'machine' : 'scanner',
      id: peer.id,
    })
  const inBackground = (work: Promise<unknown>) =>
    void work.catch((error: unknown) =>
      core().logger.error({ error }, 'the state of a link could not be written'),
    )

  async function onlineAgain(peer: LinkPeer): Promise<void> {
    const { db, machines, alarms } = core()
    if (peer.kind === 'agent') await machines.note(db, peer.id, 'link.online', {})
    await alarms.clear(db, `${peer.kind === 'agent' ? 'machine' : 'scanner'}.offline:${peer.id}`)
  }

  async function heartbeat(peer: LinkPeer, body: UpMessages['heartbeat']): Promise<void> {
    const { db, alarms } = core()
    await saveHeartbeat(db, peer.id, body)
    const key = `machine.degraded:${peer.id}`
    if (peer.kind !== 'agent') return
    if (body.state === 'degraded')
      await alarms.raise(db, {
        kind: 'machine.degraded',
        severity: 'warning',
        key,
        machineId: peer.id,
        params: { problems: body.problems.join(', ') },
      })
    else await alarms.clear(db, key)
  }

  const services: SessionServices = {
    core,
    slices: options.slices,
    ingest,
    pushDesired,
    sessions,
    onOnline: (peer) => {
      lastSign.set(peer.id, nowMs())
      offlineSince.delete(peer.id)
      inBackground(onlineAgain(peer))
      changed(peer)
      if (peer.kind === 'scanner') core().desired.changed('all')
    },
    onOffline: (peer) => {
      offlineSince.set(peer.id, { peer, atMs: nowMs() })
      inBackground(setOffline(core().db, [peer.id]))
      changed(peer)
    },
    onHeartbeat: (peer, body) => {
      lastSign.set(peer.id, nowMs())
      const isNew = lastWrite.get(`${peer.id}:${body.state}:${body.problems.join()}`) === undefined
      if (!isNew && nowMs() - (lastWrite.get(peer.id) ?? 0) < heartbeatWriteMs) return
      lastWrite.set(peer.id, nowMs())
      if (lastWrite.size > 200_000) lastWrite.clear()
      lastWrite.set(`${peer.id}:${body.state}:${body.problems.join()}`, nowMs())
      inBackground(heartbeat(peer, body).then(() => changed(peer)))
    },
  }

  /** Who holds the certificate of this socket. Throws certificate_required, certificate_revoked. */
  async function identify(socket: TLSSocket): Promise<PeerIdentity> {
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
    const identity = certificate === undefined ? undefined : readIdentity(certificate)
    if (identity === undefined || identity.kind === 'center') throw new AppError('certificate_required')
    const peer = await findPeer(core().db, identity.id)
    if (peer === undefined || peer.revoked_at !== null) {
      core().figures.refusedConnections += 1
      await core().alarms.raise(core().db, {
        kind: 'certificate.refused',
        severity: 'warning',
        key: `certificate.refused:${identity.id}`,
        params: { serial: identity.serial },
      })
      throw new AppError('certificate_revoked', { serial: identity.serial })
    }
    return identity
  }

  function sendProblem(response: ServerResponse, error: unknown): void {
    const known = toAppError(error, core().logger)
    const retryAfter = known.params.retryAfterSeconds
    response.writeHead(known.status, {
      'content-type': 'application/problem+json',
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
    })
    response.end(JSON.stringify(toProblem(known)))
  }

  async function readJson(request: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = []
    let received = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      received += chunk.length
      if (received > maxEnrolBytes) throw new AppError('body_too_large', { maxBytes: maxEnrolBytes })
      chunks.push(chunk)
    }
    try {
      return JSON.parse(Buffer.concat(chunks).toString())
    } catch (cause) {
      throw new AppError('invalid_request', { problems: 'body: not JSON' }, { cause })
    }
  }

  async function onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/'
    if (request.method === 'POST' && path === '/enroll') {
      admit('enrolments')
      const parsed = enrolRequestSchema.safeParse(await readJson(request))
      if (!parsed.success) throw validationError(parsed.error)
      const answer = Buffer.from(JSON.stringify(await options.enrol(parsed.data)))
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      response.end(answer)
      return
    }
    const content = core().content
    if (request.method === 'GET' && content !== undefined && path === `/content/${content.version}`) {
      await identify(request.socket as TLSSocket)
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': content.sizeBytes,
      })
      response.end(content.bytes)
      return
    }
    throw new AppError('not_found', { kind: 'route', id: `${request.method} ${path}`.slice(0, 200) })
  }

  const tls = ({ keyPem, certificatePem }: GatewayOptions['certificate']) => ({
    key: keyPem,
    cert: `${certificatePem}\n${options.caPem}`,
    ca: options.caPem,
  })
  const server: Server = createServer({
    ...tls(options.certificate),
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  })
  server.on(
    'request',
    (request: IncomingMessage, response: ServerResponse) =>
      void onRequest(request, response).catch((error: unknown) => sendProblem(response, error)),
  )
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: linkLimits.maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
  })
  server.on(
    'upgrade',
    (request: IncomingMessage, socket: Duplex, head: Buffer) => void upgrade(request, socket, head),
  )

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => undefined)
    try {
      if ((request.url ?? '').split('?')[0] !== linkPath)
        throw new AppError('not_found', { kind: 'route', id: 'upgrade' })
      const identity = await identify(request.socket as TLSSocket)
      admit('connections')
      sockets.handleUpgrade(request, socket, head, (ws) => new LinkSession(ws, identity, services))
    } catch (error) {
      const known = toAppError(error, core().logger)
      const status = known.code === 'enrolment_admission' ? 503 : known.status
      const retry =
        known.params.retryAfterSeconds === undefined
          ? ''
          : `Retry-After: ${known.params.retryAfterSeconds}\r\n`
      socket.end(`HTTP/1.1 ${status} ${known.code}\r\n${retry}Connection: close\r\nContent-Length: 0\r\n\r\n`)
    }
  }

  return {
    links: {
      send: (id, type, body, messageId) => sessions.get(id)?.send(type, body, messageId) ?? false,
      close: (id, code) => sessions.get(id)?.end(code),
      isConnected: (id) => sessions.has(id),
      connected: () =>
        [...sessions.values()].flatMap(({ peer }) =>
          peer === undefined ? [] : [{ id: peer.id, kind: peer.kind }],
        ),
    },
    listen: (bind, port) =>
      new Promise((resolve, reject) => {
        server.once('error', (error) =>
          reject(
            'code' in error && error.code === 'EADDRINUSE'
              ? new AppError('port_in_use', { address: `${bind}:${port}` })
              : error,
          ),
        )
        server.listen(port, bind, () => {
          const address = server.address()
          resolve(typeof address === 'object' && address !== null ? address.port : port)
        })
      }),
    sweep: async () => {
      const { db, alarms, machines, config, figures } = core()
      for (const [id, session] of sessions)
        if (nowMs() - (lastSign.get(id) ?? 0) > linkLimits.offlineAfterMs) session.end('timeout')
      const { rows } = await sql<{
        id: string
        kind: 'agent' | 'scanner'
        name: string
      }>`select id, kind, name from peer where link_state = 'online'`.execute(db)
      await setOffline(
        db,
        rows.filter(({ id }) => !sessions.has(id)).map(({ id }) => id),
      )
      // After a start everybody is away for a moment: no alarm before they had time to come back.
      const isGrace = Date.now() - figures.startedAtMs < config.offlineGraceMs
      for (const row of rows)
        if (!sessions.has(row.id) && !offlineSince.has(row.id))
          offlineSince.set(row.id, {
            peer: { kind: row.kind, id: row.id, hostname: row.name },
            atMs: nowMs(),
          })
      for (const [id, { peer, atMs }] of offlineSince) {
        if (isGrace || nowMs() - atMs < linkLimits.heartbeatIntervalMs) continue
        offlineSince.delete(id)
        const row = await findPeer(db, id)
        if (row === undefined || row.revoked_at !== null || sessions.has(id)) continue
        const isAgent = peer.kind === 'agent'
        if (isAgent) await machines.note(db, id, 'link.offline', {})
        await alarms.raise(db, {
          kind: isAgent ? 'machine.offline' : 'scanner.offline',
          severity: isAgent ? 'warning' : 'critical',
          key: `${isAgent ? 'machine' : 'scanner'}.offline:${id}`,
          ...(isAgent ? { machineId: id } : {}),
          params: { name: peer.hostname },
        })
      }
    },
    renewCertificate: async () => server.setSecureContext(tls(await core().pki.server())),
    close: async () => {
      for (const session of sessions.values()) session.end('unavailable', { what: 'center (stopping)' })
      server.close()
      await new Promise((resolve) => setTimeout(resolve, 100))
      server.closeAllConnections()
    },
  }
}
