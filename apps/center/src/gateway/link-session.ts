import { randomUUID } from 'node:crypto'
import {
  AppError,
  type DownMessages,
  type DownType,
  envelopeSchema,
  linkLimits,
  protocolVersion,
  type UpMessages,
  type UpType,
  upMessages,
} from '@ringwall/contracts'
import { decodeFrame, encodeFrame, type PeerIdentity, randomToken, uuidv7 } from '@ringwall/runtime'
import type { WebSocket } from 'ws'
import { z } from 'zod'
import type { LinkPeer, SliceParts } from '../app/slice.ts'
import type { Core } from '../core/core.ts'
import { findPeer, insertPeer, type PeerRow, renewPeer, welcomePeer } from '../slices/fleet/peer-store.ts'
import type { Ingest } from './ingest.ts'
import { decideInstance } from './instance.ts'

/** Event batches that an agent may have under way. */
const credits = 4
const helloTimeoutMs = 15_000
/** A socket that does not answer a ping within this time is taken for dead. */
const livenessMs = 3_000
const splitTimeoutMs = 30_000
const retryIngestMs = 2_000

export type SessionServices = {
  core: () => Core
  slices: () => SliceParts[]
  ingest: Ingest
  pushDesired: (id: string) => Promise<void>
  sessions: Map<string, LinkSession>
  onHeartbeat: (peer: LinkPeer, heartbeat: UpMessages['heartbeat']) => void
  onOnline: (peer: LinkPeer) => void
  onOffline: (peer: LinkPeer) => void
}

/** One socket of one agent or scanner, from hello to its end. Who it is comes from the certificate alone. */
export class LinkSession {
  readonly #socket: WebSocket
  readonly #identity: PeerIdentity
  readonly #services: SessionServices
  #peer: LinkPeer | undefined
  #hello: UpMessages['hello'] | undefined
  #underWay = 0
  #queue: Promise<void> = Promise.resolve()
  #isClosed = false
  #awaitedSplit: { newId: string } | undefined
  #pongs: (() => void)[] = []

  constructor(socket: WebSocket, identity: PeerIdentity, services: SessionServices) {
    this.#socket = socket
    this.#identity = identity
    this.#services = services
    const timer = setTimeout(() => this.end('timeout'), helloTimeoutMs)
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      clearTimeout(timer)
      this.#onFrame(data, isBinary)
    })
    socket.on('pong', () => {
      for (const resolve of this.#pongs.splice(0)) resolve()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      this.#isClosed = true
      if (this.#peer === undefined) return
      if (services.sessions.get(this.#peer.id) === this) {
        services.sessions.delete(this.#peer.id)
        services.onOffline(this.#peer)
      }
    })
  }

  get peer(): LinkPeer | undefined {
    return this.#peer
  }

  send<T extends DownType>(type: T, body: DownMessages[T], id?: string): boolean {
    if (this.#isClosed) return false
    this.#socket.send(encodeFrame({ v: protocolVersion, type, ...(id === undefined ? {} : { id }), body }))
    return true
  }

  /** Says why, then closes. */
  end(code: string, params: DownMessages['bye']['params'] = {}): void {
    this.send('bye', { code, params })
    this.#socket.close(1008)
    setTimeout(() => this.#socket.terminate(), 2_000).unref()
  }

  /** Whether the other side still answers. */
  async isAlive(): Promise<boolean> {
    if (this.#isClosed) return false
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), livenessMs)
      this.#pongs.push(() => {
        clearTimeout(timer)
        resolve(true)
      })
      this.#socket.ping()
    })
  }

  #onFrame(data: Buffer, isBinary: boolean): void {
    let type = 'frame'
    try {
      const envelope = envelopeSchema.parse(
        decodeFrame(isBinary ? data : data.toString(), { maxBytes: linkLimits.maxFrameBytes }),
      )
      type = envelope.type
      if (envelope.v !== protocolVersion)
        throw new AppError('protocol_version', { version: envelope.v, supported: protocolVersion })
      const schema = upMessages[type as UpType]
      if (schema === undefined) {
        this.#services.core().figures.unknownMessages += 1
        return
      }
      const body = schema.parse(envelope.body)
      if (type === 'events') this.#takeCredit()
      // In order, one at a time: an ack must never overtake what it acknowledges.
      this.#queue = this.#queue
        .then(async () => await this.#dispatch(type as UpType, body, envelope.id))
        .catch((error: unknown) => this.#onError(error))
    } catch (error) {
      const problems =
        error instanceof z.ZodError
          ? z.prettifyError(error).slice(0, 300)
          : error instanceof Error
            ? error.message
            : ''
      this.#onError(error instanceof AppError ? error : new AppError('message_invalid', { type, problems }))
    }
  }

  #takeCredit(): void {
    this.#underWay += 1
    if (this.#underWay > credits) throw new AppError('too_many_requests', { retryAfterSeconds: 1 })
  }

  #onError(error: unknown): void {
    const known =
      error instanceof AppError
        ? error
        : new AppError('internal', { errorId: randomUUID() }, { cause: error })
    this.#services
      .core()
      .logger[known.code === 'internal' ? 'error' : 'warn'](
        { error, peer: this.#identity.id },
        'the link of a peer failed',
      )
    this.end(known.code, known.params)
  }

  async #dispatch(type: UpType, body: unknown, id: string | undefined): Promise<void> {
    if (this.#isClosed && type !== 'events') return
    if (type === 'hello') return await this.#onHello(body as UpMessages['hello'])
    if (type === 'csr') return await this.#onCsr(body as UpMessages['csr'], id)
    const peer = this.#peer
    if (peer === undefined) throw new AppError('message_invalid', { type, problems: 'hello comes first' })
    if (type === 'events') return await this.#onEvents(peer, body as UpMessages['events'])
    if (type === 'heartbeat') this.#services.onHeartbeat(peer, body as UpMessages['heartbeat'])
    for (const { link } of this.#services.slices()) {
      const handler = link?.[type] as
        | ((peer: LinkPeer, body: unknown, id: string | undefined) => Promise<void>)
        | undefined
      await handler?.(peer, body, id)
    }
  }

  async #onEvents(peer: LinkPeer, batch: UpMessages['events']): Promise<void> {
    for (;;) {
      try {
        const seq = await this.#services.ingest(peer, batch)
        this.#underWay -= 1
        this.send('ack', { epoch: batch.epoch, seq, credits: 1 })
        return
      } catch (error) {
        // Not committed, so not acknowledged: the agent keeps it. The database may be back in a moment.
        this.#services.core().logger.error({ error }, 'events could not be committed')
        if (this.#isClosed) return
        await new Promise((resolve) => setTimeout(resolve, retryIngestMs))
      }
    }
  }

  async #onHello(hello: UpMessages['hello']): Promise<void> {
    const { core, sessions } = this.#services
    const { db, machines } = core()
    const row = await findPeer(db, this.#identity.id)
    if (row === undefined || row.revoked_at !== null)
      throw new AppError('certificate_revoked', { serial: this.#identity.serial })
    const other = sessions.get(row.id)
    const isAlive = other !== undefined && other !== this && (await other.isAlive())
    const decision = decideInstance(
      {
        instanceId: row.instance_id,
        processNonce: row.process_nonce,
        ratchet: row.ratchet,
        previousRatchet: row.previous_ratchet,
        isAlive,
      },
      hello,
    )
    if (decision.kind === 'clone' && row.kind === 'agent')
      return await this.#split(row, hello, decision.evidence)
    if (other !== undefined && other !== this)
      other.end('state_conflict', { kind: 'link', id: row.id, state: 'replaced', needed: 'one link' })
    if (decision.kind === 'rollback') await machines.note(db, row.id, 'machine.rollback', {})
    this.#hello = hello
    await this.#welcome(row, hello)
  }

  async #welcome(row: PeerRow, hello: UpMessages['hello']): Promise<void> {
    const { core, sessions, onOnline, pushDesired } = this.#services
    const { db, clock, machines } = core()
    const ratchet = randomToken(18)
    await welcomePeer(db, row.id, hello, ratchet)
    if (hello.facts !== undefined) await machines.updateFacts(db, row.id, hello.facts, hello.softwareVersion)
    const peer: LinkPeer = { kind: row.kind, id: row.id, hostname: hello.facts?.hostname ?? row.name }
    this.#peer = peer
    if (this.#isClosed) return
    sessions.set(peer.id, this)
    this.send('welcome', {
      id: row.id,
      ratchet,
      credits,
      serverTime: new Date(clock.nowMs()).toISOString(),
      desiredVersion: row.desired_version,
    })
    onOnline(peer)
    await pushDesired(peer.id)
  }

  /** Tells a copy to take an identity of its own; it keeps its policy and goes on protecting meanwhile. */
  async #split(row: PeerRow, hello: UpMessages['hello'], evidence: string): Promise<void> {
    this.#hello = hello
    this.#awaitedSplit = { newId: uuidv7() }
    this.#services
      .core()
      .logger.warn(
        { parent: row.id, child: this.#awaitedSplit.newId, evidence },
        'splitting a cloned identity',
      )
    this.send('split', { newId: this.#awaitedSplit.newId, parentId: row.id })
    setTimeout(() => this.end('timeout'), splitTimeoutMs).unref()
  }

  async #onCsr({ csrPem, reason }: UpMessages['csr'], id: string | undefined): Promise<void> {
    const { db, pki, machines, alarms, live } = this.#services.core()
    if (reason === 'renewal') {
      const peer = this.#peer
      if (peer === undefined)
        throw new AppError('message_invalid', { type: 'csr', problems: 'hello comes first' })
      const renewed = await pki.issue(csrPem, peer.kind, peer.id)
      await renewPeer(db, peer.id, renewed)
      if (peer.kind === 'agent') await machines.note(db, peer.id, 'certificate.renewed', {})
      this.send('certificate', { id: peer.id, certificatePem: renewed.certificatePem, caPem: pki.caPem }, id)
      return
    }
    const split = this.#awaitedSplit
    const hello = this.#hello
    if (split === undefined || hello?.facts === undefined)
      throw new AppError('message_invalid', { type: 'csr', problems: 'no split is under way' })
    this.#awaitedSplit = undefined
    const { facts, softwareVersion } = hello
    const parentId = this.#identity.id
    const issued = await pki.issue(csrPem, 'agent', split.newId)
    await db.transaction().execute(async (tx) => {
      await insertPeer(tx, {
        id: split.newId,
        kind: 'agent',
        name: facts.hostname,
        softwareVersion,
        addresses: [],
        certificate: issued,
      })
      await machines.create(tx, {
        id: split.newId,
        facts,
        agentVersion: softwareVersion,
        lineage: { parentId, evidence: 'same certificate' },
      })
      await machines.note(tx, split.newId, 'machine.cloned', { evidence: 'same certificate', parentId })
      await machines.note(tx, parentId, 'machine.cloned', { childId: split.newId })
      await alarms.raise(tx, {
        kind: 'machine.cloned',
        severity: 'info',
        key: `machine.cloned:${parentId}`,
        machineId: parentId,
        params: { childId: split.newId },
      })
    })
    live.publish({ type: 'changed', object: 'machine', id: split.newId })
    this.send('certificate', { id: split.newId, certificatePem: issued.certificatePem, caPem: pki.caPem }, id)
  }
}
