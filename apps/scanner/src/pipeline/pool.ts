import { type ChildProcess, spawn } from 'node:child_process'
import { AppError } from '@ringwall/contracts'
import type { PipelineResult } from '@ringwall/engines'
import type { Logger } from '@ringwall/runtime'
import { createFrameReader, frame } from './frames.ts'
import { itemHeaderBytes, type WorkerReady, type WorkerReply } from './worker.ts'

const maxReplyBytes = 64 * 1024 * 1024
const batchBytes = 4 * 1024 * 1024
const batchItems = 128
const startTimeoutMs = 120_000
/** A worker is replaced after this many contents, or beyond this memory: engines may leak. */
const recycleAfterItems = 200_000
const recycleAboveRssBytes = 900 * 1024 * 1024
const triesPerContent = 2

export type JudgedContent = {
  sha256: Buffer
  content: { kind: 'bytes'; bytes: Buffer } | { kind: 'file'; path: string; sizeBytes: number }
}
export type Judgement = PipelineResult & {
  /** Why the content was not judged as a whole. */
  reason?: string
}

type Job = JudgedContent & {
  sizeBytes: number
  tries: number
  isAlone: boolean
  resolve: (judgement: Judgement) => void
}
type Worker = {
  child: ChildProcess
  generation: number
  jobs: Job[]
  timer: NodeJS.Timeout | undefined
  items: number
  isReady: boolean
  isOverdue: boolean
  ready: Promise<WorkerReady>
}

export type PoolOptions = {
  workers: number
  /** Program and arguments of an engine process; the pack's path is added. */
  command: { file: string; args: string[] }
  /** Longest time for a batch of small contents; large ones get this for each 64 MiB. */
  deadlineMs: number
  logger: Logger
}

/**
 * Engine processes and the queue before them. Contents go in batches; when a process dies or hangs over a batch,
 * each content of it is tried alone, and the one that does it again is judged `partial` and never tried in a loop.
 */
export class EnginePool {
  readonly #options: PoolOptions
  #packPath: string | undefined
  #generation = 0
  #workers: Worker[] = []
  #queue: Job[] = []
  #restarts = 0
  #isClosed = false
  #loaded: WorkerReady | undefined

  constructor(options: PoolOptions) {
    this.#options = options
  }

  get loaded(): WorkerReady | undefined {
    return this.#loaded
  }

  get figures(): { alive: number; busy: number; restarts: number; queueLength: number } {
    return {
      alive: this.#workers.filter(({ isReady }) => isReady).length,
      busy: this.#workers.filter(({ jobs }) => jobs.length > 0).length,
      restarts: this.#restarts,
      queueLength: this.#queue.length,
    }
  }

  /**
   * Takes a content pack into use: new processes start with it while the old ones go on until the first new one is
   * ready. Throws content_invalid when no process can load it; the old pack stays then.
   */
  async load(packPath: string): Promise<WorkerReady> {
    const generation = this.#generation + 1
    const first = this.#spawn(packPath, generation)
    let ready: WorkerReady
    try {
      ready = await first.ready
    } catch (cause) {
      this.#workers = this.#workers.filter((worker) => worker !== first)
      throw new AppError(
        'content_invalid',
        { reason: cause instanceof Error ? cause.message.slice(0, 400) : 'it cannot be loaded' },
        { cause },
      )
    }
    this.#generation = generation
    this.#packPath = packPath
    this.#loaded = ready
    for (const worker of this.#workers)
      if (worker.generation < generation && worker.jobs.length === 0) this.#retire(worker)
    while (this.#workers.filter((worker) => worker.generation === generation).length < this.#options.workers)
      this.#spawn(packPath, generation)
    this.#pump()
    return ready
  }

  /** Judges a content. Never rejects: what cannot be judged comes back with a reason. */
  judge(content: JudgedContent): Promise<Judgement> {
    const sizeBytes =
      content.content.kind === 'bytes' ? content.content.bytes.length : content.content.sizeBytes
    return new Promise((resolve) => {
      this.#queue.push({ ...content, sizeBytes, tries: 0, isAlone: false, resolve })
      this.#pump()
    })
  }

  close(): void {
    this.#isClosed = true
    for (const worker of this.#workers) worker.child.kill('SIGKILL')
    for (const job of this.#queue.splice(0))
      job.resolve({ findings: [], failed: [], reason: 'scanner_stopping' })
  }

  #spawn(packPath: string, generation: number): Worker {
    const { file, args } = this.#options.command
    const child = spawn(file, [...args, packPath], { stdio: ['pipe', 'pipe', 'pipe'] })
    const { promise: ready, resolve: onReady, reject: onFailure } = Promise.withResolvers<WorkerReady>()
    ready.catch(() => undefined)
    const worker: Worker = {
      child,
      generation,
      jobs: [],
      timer: undefined,
      items: 0,
      isReady: false,
      isOverdue: false,
      ready,
    }
    const startTimer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs)
    let complaint = ''
    const read = createFrameReader(maxReplyBytes, (bytes) => {
      const message = JSON.parse(bytes.toString()) as WorkerReady | WorkerReply
      if ('results' in message) return this.#onReply(worker, message)
      clearTimeout(startTimer)
      worker.isReady = true
      onReady(message)
      this.#pump()
    })
    child.stdout?.on('data', (chunk: Buffer) => {
      try {
        read(chunk)
      } catch {
        child.kill('SIGKILL')
      }
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint = `${complaint}${chunk}`.slice(-4000)
    })
    child.stdin?.on('error', () => undefined)
    child.on('error', onFailure)
    child.on('exit', (code, signal) => {
      clearTimeout(startTimer)
      onFailure(
        new Error(
          complaint.trim() === '' ? `an engine process ended with ${signal ?? code}` : errorLine(complaint),
        ),
      )
      this.#onExit(worker, `${signal ?? code}`)
    })
    this.#workers.push(worker)
    return worker
  }

  #retire(worker: Worker): void {
    this.#workers = this.#workers.filter((other) => other !== worker)
    worker.child.stdin?.end()
  }

  #onReply(worker: Worker, { results, rssBytes }: WorkerReply): void {
    clearTimeout(worker.timer)
    const jobs = worker.jobs
    worker.jobs = []
    jobs.forEach((job, index) => {
      job.resolve(results[index] ?? { findings: [], failed: [], reason: 'engine_crash' })
    })
    const isWorn = worker.items > recycleAfterItems || rssBytes > recycleAboveRssBytes
    if (worker.generation < this.#generation || isWorn) this.#retire(worker)
    if (worker.generation === this.#generation && isWorn && this.#packPath !== undefined)
      this.#spawn(this.#packPath, this.#generation)
    this.#pump()
  }

  #onExit(worker: Worker, how: string): void {
    clearTimeout(worker.timer)
    const wasInUse = this.#workers.includes(worker)
    this.#workers = this.#workers.filter((other) => other !== worker)
    const jobs = worker.jobs.splice(0)
    for (const job of jobs) {
      const tries = job.tries + (jobs.length === 1 ? 1 : 0)
      if (tries >= triesPerContent || this.#isClosed)
        job.resolve({ findings: [], failed: [], reason: worker.isOverdue ? 'timeout' : 'engine_crash' })
      else this.#queue.unshift({ ...job, tries, isAlone: true })
    }
    const packPath = this.#packPath
    if (this.#isClosed || !wasInUse || worker.generation !== this.#generation || packPath === undefined)
      return
    this.#restarts += 1
    this.#options.logger.warn(
      { how, isOverdue: worker.isOverdue },
      'an engine process ended; starting another',
    )
    // A pack that cannot even start must not spin.
    const timer = setTimeout(
      () => {
        if (!this.#isClosed && worker.generation === this.#generation) this.#spawn(packPath, this.#generation)
      },
      worker.isReady ? 0 : 1000,
    )
    timer.unref()
  }

  #pump(): void {
    for (const worker of this.#workers) {
      if (this.#queue.length === 0) return
      if (worker.isReady && worker.jobs.length === 0 && worker.generation === this.#generation)
        this.#assign(worker)
    }
  }

  #assign(worker: Worker): void {
    worker.jobs = this.#takeBatch()
    worker.items += worker.jobs.length
    const parts = worker.jobs.flatMap(({ sha256, content }) => {
      const header = Buffer.alloc(itemHeaderBytes)
      const payload = content.kind === 'bytes' ? content.bytes : Buffer.from(content.path)
      sha256.copy(header)
      header.writeUInt8(content.kind === 'bytes' ? 0 : 1, 32)
      header.writeUInt32LE(payload.length, 33)
      return [header, payload]
    })
    const totalBytes = worker.jobs.reduce((sum, job) => sum + job.sizeBytes, 0)
    const overdue = () => {
      worker.isOverdue = true
      worker.child.kill('SIGKILL')
    }
    worker.timer = setTimeout(
      overdue,
      this.#options.deadlineMs * (1 + Math.floor(totalBytes / (64 * 1024 * 1024))),
    )
    worker.child.stdin?.write(frame(...parts))
  }

  #takeBatch(): Job[] {
    const first = this.#queue.shift()
    if (first === undefined) return []
    const jobs = [first]
    let bytes = first.sizeBytes
    while (!first.isAlone && jobs.length < batchItems) {
      const next = this.#queue[0]
      if (next === undefined || next.isAlone || bytes + next.sizeBytes > batchBytes) break
      this.#queue.shift()
      jobs.push(next)
      bytes += next.sizeBytes
    }
    return jobs
  }
}

/** The line that says what went wrong, out of what a dying process printed. */
function errorLine(text: string): string {
  const lines = text.trim().split('\n')
  return (lines.find((line) => /^\w*Error\b.*: /.test(line)) ?? lines.at(-1) ?? '').slice(0, 400)
}
