import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { AppError } from '@ringwall/contracts'
import { fullJitterDelayMs, sleep } from '@ringwall/runtime'
import { type ProgramName, programCommand } from './programs.ts'

const stopTimeoutMs = 15_000
const readyTimeoutMs = 120_000

export type Supervised = { ready: Promise<Record<string, unknown>>; stop: () => Promise<void> }
export type SupervisorEvents = {
  onExit: (name: ProgramName, how: string, restartInMs: number) => void
  onSpawn?: ((pid: number) => void) | undefined
}

/** The first JSON line of a program: it says that it serves, and where. */
function readyLine(
  child: ChildProcess,
  name: ProgramName,
  logPath: string,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new AppError('timeout', { what: name, timeoutMs: readyTimeoutMs })),
      readyTimeoutMs,
    )
    const stdout = child.stdout
    if (stdout === null)
      return reject(new AppError('command_failed', { command: name, reason: 'no standard output' }))
    createInterface({ input: stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return
      const message: unknown = JSON.parse(line)
      if (typeof message !== 'object' || message === null || !('ready' in message)) return
      clearTimeout(timer)
      resolve({ ...message })
    })
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      reject(
        new AppError('command_failed', {
          command: name,
          reason: `it ended with ${signal ?? code}; see ${logPath}`,
        }),
      )
    })
  })
}

/**
 * Runs a program until `stop`, starting it again with full jitter whenever it ends. Its log goes to `logPath`.
 * `ready` is the ready line of the first start; it rejects when that fails.
 */
export function supervise(
  name: ProgramName,
  args: string[],
  options: { home: string; logPath: string } & SupervisorEvents,
): Supervised {
  mkdirSync(dirname(options.logPath), { recursive: true, mode: 0o700 })
  const stopping = new AbortController()
  let child: ChildProcess | undefined
  let attempt = 0

  const start = () => {
    const { file, args: programArgs, env } = programCommand(name, args, options.home)
    const log = createWriteStream(options.logPath, { flags: 'a', mode: 0o600 })
    const started = spawn(file, programArgs, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...env,
        // What the agent of this machine must not hold: it would wait for the scanner that it asks.
        RINGWALL_SUPERVISOR_PID: String(process.pid),
      },
      detached: true,
    })
    started.stderr?.pipe(log)
    child = started
    if (started.pid !== undefined) options.onSpawn?.(started.pid)
    const ready = readyLine(started, name, options.logPath)
    ready.then(
      () => {
        attempt = 0
      },
      () => undefined,
    )
    return { started, ready }
  }

  const first = start()
  const watch = (running: ChildProcess) => {
    running.once('exit', async (code, signal) => {
      if (stopping.signal.aborted) return
      attempt += 1
      const restartInMs = 500 + fullJitterDelayMs({ attempt, baseMs: 500, capMs: 30_000 })
      options.onExit(name, String(signal ?? code), restartInMs)
      await sleep(restartInMs, stopping.signal).catch(() => undefined)
      if (!stopping.signal.aborted) watch(start().started)
    })
  }
  first.ready.then(
    () => watch(first.started),
    () => undefined,
  )

  const stop = async () => {
    stopping.abort()
    const running = child
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()))
    running.kill('SIGTERM')
    const timer = setTimeout(() => running.kill('SIGKILL'), stopTimeoutMs)
    await ended
    clearTimeout(timer)
  }
  return { ready: first.ready, stop }
}
