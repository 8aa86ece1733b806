import { type SpawnOptions, spawn } from 'node:child_process'
import { AppError } from '@ringwall/contracts'

export type RunResult = { code: number | null; stdout: string; stderr: string }
type RunOptions = {
  timeoutMs: number
  maxOutputBytes?: number
  signal?: AbortSignal
  input?: string | Uint8Array
  env?: NodeJS.ProcessEnv
  /** Extra descriptors of this process that the child gets as 3, 4, … */
  inherit?: number[]
  uid?: number
  gid?: number
  cwd?: string
}

/**
 * Runs a program to its end, by argument vector, never through a shell. `code` is null when a signal ended it.
 * Throws command_failed when it cannot start or is cut off by a limit, aborted for the signal.
 */
export function run(file: string, args: string[], options: RunOptions): Promise<RunResult> {
  const { timeoutMs, maxOutputBytes = 4 * 1024 * 1024, signal, input, inherit = [], ...rest } = options
  const spawnOptions: SpawnOptions = { ...rest, stdio: ['pipe', 'pipe', 'pipe', ...inherit] }
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AppError('aborted'))
    const child = spawn(file, args, spawnOptions)
    const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
    let sizeBytes = 0
    const failed = (reason: string, cause?: unknown) =>
      new AppError('command_failed', { command: file, reason }, { cause })
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    // What the program started may outlive it with our pipes in hand: nothing more is read then.
    const cutOff = (error: AppError) => {
      settle()
      child.kill('SIGKILL')
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
      reject(error)
    }
    const onAbort = () => cutOff(new AppError('aborted'))
    const timer = setTimeout(() => cutOff(failed(`cut off after ${timeoutMs} ms`)), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length
        if (sizeBytes > maxOutputBytes) cutOff(failed(`cut off after ${maxOutputBytes} bytes of output`))
        else output[name].push(chunk)
      })
    }
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    child.on('error', (cause) => {
      settle()
      reject(failed(cause.message, cause))
    })
    child.on('close', (code) => {
      settle()
      resolve({
        code,
        stdout: Buffer.concat(output.stdout).toString(),
        stderr: Buffer.concat(output.stderr).toString(),
      })
    })
  })
}

/** Calls `handler` once for the first SIGTERM or SIGINT. */
export function onShutdown(handler: (signal: NodeJS.Signals) => void): void {
  let isCalled = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (!isCalled) handler(signal)
      isCalled = true
    })
  }
}
