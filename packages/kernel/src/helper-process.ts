import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { getSystemErrorName } from 'node:util'
import { AppError } from '@ringwall/contracts'
import { createFrameReader, encodeFrame, encodeText, fromHelper, helperAbi, toHelper } from './frames.ts'

const helloTimeoutMs = 10_000
const markTimeoutMs = 10_000
const killAfterMs = 2_000

export type HelperEnd = { reason: string }
export type Helper = {
  pid: number
  send: (type: number, payload?: Uint8Array) => void
  /** Marks the file system of a path. Answers the name of the error, e.g. EXDEV, or undefined when it is watched. */
  mark: (path: Buffer, options?: { isLasting?: boolean }) => Promise<string | undefined>
  close: () => Promise<void>
}

const unavailable = (reason: string) => new AppError('realtime_unavailable', { reason })

/**
 * Starts the helper and waits until it says that the kernel lets it work. Throws realtime_unavailable with the reason
 * (no helper, no permission, a kernel without it), aborted for the signal. `onEnd` is told once when it ended unasked.
 */
export async function startHelper(options: {
  helperPath: string
  args: string[]
  onFrame: (type: number, payload: Buffer) => void
  onEnd: (end: HelperEnd) => void
  signal?: AbortSignal | undefined
}): Promise<Helper> {
  const { helperPath, args, onFrame, onEnd, signal } = options
  if (signal?.aborted) throw new AppError('aborted')
  if (!existsSync(helperPath)) throw unavailable(`the helper ${helperPath} was not built`)
  // A pipe of Node is a socket pair (AF_UNIX): both ways on one descriptor.
  const child: ChildProcess = spawn(helperPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })
  const socket = child.stdio[3] as Duplex
  const marks = new Map<string, ((problem: string | undefined) => void)[]>()
  let hello: ((payload: Buffer) => void) | undefined
  let isClosing = false
  let hasStarted = false

  const send = (type: number, payload?: Uint8Array) => {
    if (socket.writable) socket.write(encodeFrame(type, payload))
  }
  const read = createFrameReader((type, payload) => {
    if (type === fromHelper.hello) hello?.(payload)
    else if (type === fromHelper.marked) {
      const error = payload.readInt32LE(0)
      marks.get(payload.subarray(4).toString('latin1'))?.shift()?.(
        error === 0 ? undefined : getSystemErrorName(-error),
      )
    } else onFrame(type, payload)
  })
  socket.on('data', (chunk: Buffer) => {
    try {
      read(chunk)
    } catch {
      child.kill('SIGKILL')
    }
  })
  socket.on('error', () => undefined)
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, killedBy) => resolve(killedBy ?? `exit code ${code}`))
  })
  void ended.then((reason) => {
    for (const waiting of marks.values()) for (const settle of waiting) settle('EPIPE')
    if (hasStarted && !isClosing) onEnd({ reason })
  })

  async function close(): Promise<void> {
    isClosing = true
    socket.destroy()
    const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    await ended
    clearTimeout(timer)
  }

  const first = await Promise.race([
    new Promise<Buffer>((resolve) => {
      hello = resolve
    }),
    ended,
    new Promise<string>((resolve) => setTimeout(resolve, helloTimeoutMs, 'it says nothing').unref()),
    new Promise<string>((resolve) =>
      signal?.addEventListener('abort', () => resolve('aborted'), { once: true }),
    ),
  ])
  if (typeof first === 'string') {
    await close()
    throw signal?.aborted ? new AppError('aborted') : unavailable(`the helper does not run: ${first}`)
  }
  const error = first.readInt32LE(8)
  if (first.readUInt32LE(0) !== helperAbi || error !== 0) {
    await close()
    throw unavailable(
      error === 0 ? 'the helper is of another version' : `fanotify: ${getSystemErrorName(-error)}`,
    )
  }
  hasStarted = true
  signal?.addEventListener('abort', () => void close(), { once: true })
  return {
    pid: child.pid ?? 0,
    send,
    mark: async (path, { isLasting = false } = {}) =>
      await new Promise((resolve) => {
        const key = path.toString('latin1')
        const timer = setTimeout(() => settle('ETIMEDOUT'), markTimeoutMs)
        const settle = (problem: string | undefined) => {
          clearTimeout(timer)
          resolve(problem)
        }
        marks.set(key, [...(marks.get(key) ?? []), settle])
        send(toHelper.mark, Buffer.concat([encodeText(path), Buffer.from([isLasting ? 1 : 0])]))
      }),
    close,
  }
}
