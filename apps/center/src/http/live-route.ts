import type { LiveMessage } from '@ringwall/contracts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { LiveHub } from '../core/live.ts'

const heartbeatMs = 15_000
/** A console that does not read is cut off; it comes back with Last-Event-ID. */
const maxBufferedBytes = 1024 * 1024

/** Server-sent events (HTML standard, section 9.2), resumed by Last-Event-ID. */
export function serveLive(hub: LiveHub, request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  const write = (id: number | undefined, message: LiveMessage) => {
    raw.write(`${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`)
    if (raw.writableLength > maxBufferedBytes) raw.destroy()
  }
  const header = Number(request.headers['last-event-id'] ?? Number.NaN)
  const { missed, unsubscribe } = hub.subscribe(Number.isSafeInteger(header) ? header : undefined, write)
  if (missed === undefined) write(undefined, { type: 'reset' })
  else for (const { id, message } of missed) write(id, message)
  const heartbeat = setInterval(() => raw.write(': still here\n\n'), heartbeatMs)
  raw.write(': welcome\n\n')
  raw.on('close', () => {
    clearInterval(heartbeat)
    unsubscribe()
  })
}
