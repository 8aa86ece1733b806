/**
 * libvirt's RPC (libvirt.org/kbase/internals/rpc.html): messages of a length word and a header of six words, calls and
 * replies joined by a serial, events unasked.
 */
import type { Duplex } from 'node:stream'
import { AppError, isAppError } from '@ringwall/contracts'
import { XdrReader, XdrWriter } from './xdr.ts'

const remoteProgram = 0x20008086
const keepaliveProgram = 0x6b656570
const programVersion = 1
const messageType = { call: 0, reply: 1, event: 2 }
const headerBytes = 28
/** VIR_NET_MESSAGE_MAX and the length word. */
export const maxMessageBytes = 32 * 1024 * 1024 + 4
const callTimeoutMs = 30_000

/** Codes of virErrorNumber that mean something to a caller. */
const errorNumber = {
  operationDenied: 29,
  noDomain: 42,
  authFailed: 45,
  authUnavailable: 79,
  accessDenied: 88,
}

export type Header = {
  program: number
  version: number
  procedure: number
  type: number
  serial: number
  status: number
}
export type RpcEvent = { procedure: number; body: XdrReader }
export type RpcClient = {
  /**
   * One call. `name` is for messages. Errors: not_found (no such domain), platform_permission, platform_answer_invalid (every other
   * refusal, and answers that cannot be read), unavailable (the connection ended), timeout, aborted.
   */
  call: <T>(
    procedure: number,
    name: string,
    args: XdrWriter | null,
    read: (body: XdrReader) => T,
    signal: AbortSignal,
    timeoutMs?: number,
  ) => Promise<T>
  /** Why the connection ended; null while it stands. */
  ended: () => AppError | null
  close: () => void
}

/** A whole message, length word included. */
export function encodeMessage(header: Header, body: Uint8Array): Buffer {
  const { program, version, procedure, type, serial, status } = header
  const words = [program, version, procedure, type, serial, status]
  const writer = new XdrWriter().u32(headerBytes + body.length)
  for (const word of words) writer.i32(word)
  return Buffer.concat([writer.bytes(), body])
}

/** Cuts a byte stream into messages. The returned function takes a chunk and answers the messages that it completes. Throws message_invalid. */
export function createMessageSplitter(): (chunk: Uint8Array) => { header: Header; body: XdrReader }[] {
  let pending: Buffer[] = []
  let pendingBytes = 0
  let wantedBytes = 4
  return (chunk) => {
    pending.push(Buffer.from(chunk))
    pendingBytes += chunk.length
    const messages: { header: Header; body: XdrReader }[] = []
    while (pendingBytes >= wantedBytes) {
      const bytes = Buffer.concat(pending)
      const sizeBytes = bytes.readUInt32BE()
      if (sizeBytes < headerBytes || sizeBytes > maxMessageBytes)
        throw new AppError('message_invalid', { type: 'libvirt', problems: `a length of ${sizeBytes} bytes` })
      const isWhole = bytes.length >= sizeBytes
      if (isWhole) messages.push(parseMessage(bytes.subarray(4, sizeBytes)))
      const rest = isWhole ? bytes.subarray(sizeBytes) : bytes
      pending = [rest]
      pendingBytes = rest.length
      wantedBytes = isWhole ? 4 : sizeBytes
    }
    return messages
  }
}

function parseMessage(bytes: Buffer): { header: Header; body: XdrReader } {
  const body = new XdrReader(bytes)
  const header = {
    program: body.u32(),
    version: body.u32(),
    procedure: body.i32(),
    type: body.i32(),
    serial: body.u32(),
    status: body.i32(),
  }
  return { header, body }
}

type Waiting = { settle: (answer: { status: number; body: XdrReader } | AppError) => void }

/** Speaks RPC over a connected stream, which it owns from now on. `address` and `account` are for messages. */
export function createRpcClient(options: {
  stream: Duplex
  address: string
  account: string
  onEvent: (event: RpcEvent) => void
  onEnd: () => void
}): RpcClient {
  const { stream, address, account } = options
  const split = createMessageSplitter()
  const waiting = new Map<number, Waiting>()
  let nextSerial = 1
  let ended: AppError | null = null

  function end(error: AppError): void {
    if (ended !== null) return
    ended = error
    stream.destroy()
    for (const { settle } of waiting.values()) settle(error)
    waiting.clear()
    options.onEnd()
  }

  function receive(chunk: Buffer): void {
    for (const { header, body } of split(chunk)) {
      if (header.program === keepaliveProgram) {
        const pong = { ...header, procedure: 2 }
        if (header.procedure === 1) stream.write(encodeMessage(pong, Buffer.alloc(0)))
      } else if (header.program !== remoteProgram) {
      } else if (header.type === messageType.event) {
        options.onEvent({ procedure: header.procedure, body })
      } else if (header.type === messageType.reply) {
        waiting.get(header.serial)?.settle({ status: header.status, body })
        waiting.delete(header.serial)
      }
    }
  }

  stream.on('data', (chunk: Buffer) => {
    if (ended !== null) return
    try {
      receive(chunk)
    } catch (cause) {
      end(answerInvalid('its messages', cause))
    }
  })
  stream.once('error', (cause) => end(new AppError('unavailable', { what: address }, { cause })))
  for (const name of ['end', 'close'])
    stream.once(name, () => end(new AppError('unavailable', { what: address })))

  function answerInvalid(request: string, cause: unknown): AppError {
    const reason = isAppError(cause, 'message_invalid') ? String(cause.params.problems) : String(cause)
    return new AppError('platform_answer_invalid', { address, request, reason }, { cause })
  }

  /** remote_error: code, domain, optional message, and more that nobody reads here. */
  function refusal(name: string, body: XdrReader): AppError {
    const code = body.i32()
    body.i32()
    const message = body.optional(() => body.string()) ?? ''
    if (code === errorNumber.noDomain) return new AppError('not_found', { kind: 'domain', id: message })
    const isDenied = [
      errorNumber.operationDenied,
      errorNumber.authFailed,
      errorNumber.authUnavailable,
      errorNumber.accessDenied,
    ].includes(code)
    if (isDenied)
      return new AppError('platform_permission', { account, what: `${name} (${message})`, address })
    return new AppError('platform_answer_invalid', {
      address,
      request: name,
      reason: `error ${code}: ${message}`,
    })
  }

  return {
    ended: () => ended,
    close: () => end(new AppError('aborted')),
    call: (procedure, name, args, read, signal, timeoutMs = callTimeoutMs) =>
      new Promise((resolve, reject) => {
        if (ended !== null) return reject(ended)
        if (signal.aborted) return reject(new AppError('aborted'))
        const serial = nextSerial
        nextSerial += 1
        const give = (error: AppError) => {
          waiting.delete(serial)
          settle(error)
        }
        const onAbort = () => give(new AppError('aborted'))
        const deadline = setTimeout(
          () => give(new AppError('timeout', { what: `${address} ${name}`, timeoutMs })),
          timeoutMs,
        )
        const settle: Waiting['settle'] = (answer) => {
          clearTimeout(deadline)
          signal.removeEventListener('abort', onAbort)
          if (answer instanceof AppError) return reject(answer)
          try {
            if (answer.status !== 0) reject(refusal(name, answer.body))
            else resolve(read(answer.body))
          } catch (cause) {
            reject(answerInvalid(name, cause))
          }
        }
        signal.addEventListener('abort', onAbort, { once: true })
        waiting.set(serial, { settle })
        const header = {
          program: remoteProgram,
          version: programVersion,
          procedure,
          type: messageType.call,
          serial,
          status: 0,
        }
        stream.write(encodeMessage(header, args?.bytes() ?? Buffer.alloc(0)))
      }),
  }
}
