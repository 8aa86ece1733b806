import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createMessageSplitter,
  createRpcClient,
  encodeMessage,
  type Header,
  maxMessageBytes,
  type RpcEvent,
} from './rpc.ts'
import { XdrWriter } from './xdr.ts'

const program = 0x20008086
const never = new AbortController().signal
const header = (fields: Partial<Header>): Header => ({
  program,
  version: 1,
  procedure: 59,
  type: 1,
  serial: 1,
  status: 0,
  ...fields,
})
const text = (value: string) => new XdrWriter().string(value).bytes()

/** A client and the other end of its stream; `answer` sees each call and writes what it likes. */
function pair(answer: (call: Header, write: (bytes: Uint8Array) => void) => void) {
  const [near, far] = duplexPair()
  const split = createMessageSplitter()
  const events: RpcEvent[] = []
  let ends = 0
  far.on('data', (chunk: Buffer) => {
    for (const message of split(chunk)) answer(message.header, (bytes) => far.write(bytes))
  })
  const client = createRpcClient({
    stream: near,
    address: 'kvm1',
    account: 'me',
    onEvent: (event) => events.push(event),
    onEnd: () => {
      ends += 1
    },
  })
  const hostname = (signal = never, timeoutMs?: number) =>
    client.call(59, 'GET_HOSTNAME', null, (body) => body.string(), signal, timeoutMs)
  return { client, hostname, far, events, ends: () => ends }
}

const refusal = (code: number, message: string) =>
  new XdrWriter().i32(code).i32(0).u32(1).string(message).bytes()

describe('message splitter', () => {
  it('finds the same messages however the bytes are cut', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(bodies, fc.infiniteStream(fc.integer({ min: 1, max: 50 })), (parts, sizes) => {
        const bytes = Buffer.concat(parts.map((part, serial) => encodeMessage(header({ serial }), part)))
        const split = createMessageSplitter()
        const found: { serial: number; body: Uint8Array }[] = []
        for (let at = 0; at < bytes.length; ) {
          const sizeBytes = sizes.next().value
          for (const { header, body } of split(bytes.subarray(at, at + sizeBytes)))
            found.push({ serial: header.serial, body: new Uint8Array(body.opaque(body.leftBytes & ~3)) })
          at += sizeBytes
        }
        expect(found).toEqual(
          parts.map((part, serial) => ({ serial, body: part.subarray(0, part.length & ~3) })),
        )
      }),
    )
  })

  it('ends in messages or message_invalid for any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 })), (chunks) => {
        const split = createMessageSplitter()
        try {
          for (const chunk of chunks) expect(Array.isArray(split(chunk))).toBe(true)
        } catch (error) {
          expect(error).toMatchObject({ code: 'message_invalid' })
        }
      }),
    )
  })

  it('refuses lengths that no message has', () => {
    for (const sizeBytes of [0, 27, maxMessageBytes + 1, 2 ** 32 - 1])
      expect(() => createMessageSplitter()(new XdrWriter().u32(sizeBytes).bytes())).toThrow(
        `a length of ${sizeBytes} bytes`,
      )
  })
})

describe('RPC client', () => {
  it('joins answers to calls by their serial, in any order', async () => {
    const calls: Header[] = []
    const { hostname } = pair((call, write) => {
      calls.push(call)
      if (calls.length === 2)
        for (const { serial } of calls.toReversed())
          write(encodeMessage(header({ serial }), text(`answer ${serial}`)))
    })
    expect(await Promise.all([hostname(), hostname()])).toEqual(['answer 1', 'answer 2'])
  })

  it('hands out events, answers keepalive pings and leaves other programs alone', async () => {
    const pongs: Header[] = []
    const { hostname, events } = pair((call, write) => {
      if (call.program !== program) return void pongs.push(call)
      write(encodeMessage(header({ program: 0x6b656570, procedure: 1, type: 2, serial: 0 }), Buffer.alloc(0)))
      write(encodeMessage(header({ program: 7, type: 2 }), Buffer.alloc(0)))
      write(encodeMessage(header({ procedure: 318, type: 2, serial: 0 }), text('event')))
      write(encodeMessage(header({ serial: 99 }), text('nobody asked')))
      write(encodeMessage(header({ serial: call.serial }), text('kvm1')))
    })
    expect(await hostname()).toBe('kvm1')
    expect(events.map(({ procedure, body }) => [procedure, body.string()])).toEqual([[318, 'event']])
    expect(pongs).toMatchObject([{ program: 0x6b656570, procedure: 2, type: 2 }])
  })

  it('makes of refusals what they mean', async () => {
    const replies = [refusal(42, 'gone-1'), refusal(29, 'read only'), refusal(38, 'odd'), Buffer.alloc(2)]
    const { hostname } = pair((call, write) =>
      write(encodeMessage(header({ serial: call.serial, status: 1 }), replies.shift() ?? Buffer.alloc(0))),
    )
    await expect(hostname()).rejects.toMatchObject({ code: 'not_found', params: { id: 'gone-1' } })
    await expect(hostname()).rejects.toMatchObject({ code: 'platform_permission', params: { account: 'me' } })
    await expect(hostname()).rejects.toMatchObject({
      code: 'platform_answer_invalid',
      params: { address: 'kvm1', request: 'GET_HOSTNAME', reason: 'error 38: odd' },
    })
    await expect(hostname()).rejects.toMatchObject({ code: 'platform_answer_invalid' })
  })

  it('ends calls by signal, by time, and when the connection ends', async () => {
    const { client, hostname, far, ends } = pair(() => undefined)
    const controller = new AbortController()
    const cancelled = hostname(controller.signal)
    controller.abort()
    await expect(cancelled).rejects.toMatchObject({ code: 'aborted' })
    await expect(hostname(controller.signal)).rejects.toMatchObject({ code: 'aborted' })
    await expect(hostname(never, 5)).rejects.toMatchObject({ code: 'timeout' })
    const cut = hostname()
    far.end()
    await expect(cut).rejects.toMatchObject({ code: 'unavailable', params: { what: 'kvm1' } })
    await expect(hostname()).rejects.toMatchObject({ code: 'unavailable' })
    expect(client.ended()).toMatchObject({ code: 'unavailable' })
    expect(ends()).toBe(1)
  })

  it('ends the connection on what cannot be a message', async () => {
    const { client, hostname } = pair((_, write) => write(Buffer.from('HTTP/1.1 400 Bad Request\r\n')))
    await expect(hostname()).rejects.toMatchObject({
      code: 'platform_answer_invalid',
      params: { request: 'its messages' },
    })
    expect(client.ended()).not.toBeNull()
  })
})
