import {
  encodeText,
  type FileKey,
  fileKeyBytes,
  fromHelper,
  readFileKey,
  toHelper,
  writeFileKey,
} from './frames.ts'
import { type HelperEnd, startHelper } from './helper-process.ts'

/** A process wants to run or open a file that the helper does not know. */
export type Ask = {
  /** The very file, whatever happens to its name; good until the answer. Opening it is never held. */
  contentPath: string
  /** The path as this machine's first mount namespace, or the container of `pid`, knows it. Empty when there is none. */
  path: Buffer
  /** The process that waits; 0 when it cannot be seen from here. */
  pid: number
  kind: 'exec' | 'open'
  key: FileKey
  /** It was remembered as bad. */
  isKnownBad: boolean
  /** Nobody waits any more: the answer is only remembered. */
  isAnswered: boolean
}
export type AskAnswer = { allows: boolean; remember: 'clean' | 'bad' | 'nothing' }

export type GuardPolicy = {
  /** What is done when there is no answer in time. */
  whenLate: 'allow' | 'deny'
  /** A larger file than `maxJudgeBytes`: run at once and judge meanwhile, or wait up to a minute. */
  unknownLarge: 'allow-and-judge' | 'hold'
  maxJudgeBytes: number
  budgetMs: number
}

const histogramBuckets = 64
const counters = [
  'events',
  'fromTable',
  'asked',
  'denied',
  'timeouts',
  'exempt',
  'beingWritten',
  'overload',
  'unjudged',
] as const
/** Since the start of the helper. */
export type GuardStats = Record<(typeof counters)[number], number> & {
  /** 99 of 100 answers from the table came within this time, in microseconds. */
  p99AnswerUs: number
}

export type Guard = {
  pid: number
  /**
   * Guards the file system of a path; the name of the error where that cannot be. One that is `isLasting` stays mounted
   * for as long as the machine runs: what is started often there may be kept open, and costs nothing any more.
   */
  mark: (path: Buffer, options?: { isLasting?: boolean }) => Promise<string | undefined>
  setPolicy: (policy: GuardPolicy) => void
  /** Files to answer for without asking. What a judgement said of the same state of a file stays. */
  remember: (files: Iterable<{ key: FileKey; verdict: 'clean' | 'bad' }>) => void
  /** Everything is unknown again: another policy, another content version. */
  forget: () => void
  /** Programs whose processes are never asked about, by device and inode; at most 512. */
  excludePrograms: (programs: { device: bigint; inode: bigint }[]) => void
  /** Paths below which nothing is asked about; at most 512. */
  excludePaths: (paths: Buffer[]) => void
  close: () => Promise<void>
}

/** The upper end of a bucket of answer_us in native/permission.c: exact below 8, four to an octave above. */
function bucketEndUs(bucket: number): number {
  if (bucket < 8) return bucket + 1
  const exponent = 3 + Math.floor((bucket - 8) / 4)
  return 2 ** exponent + 2 ** (exponent - 2) * (((bucket - 8) % 4) + 1)
}

export function readStats(payload: Buffer): GuardStats {
  const counts = Object.fromEntries(
    counters.map((name, index) => [name, Number(payload.readBigUInt64LE(index * 8))]),
  ) as Record<(typeof counters)[number], number>
  const histogram = Array.from({ length: histogramBuckets }, (_, bucket) =>
    payload.readUInt32LE(counters.length * 8 + bucket * 4),
  )
  const whole = histogram.reduce((sum, count) => sum + count, 0)
  let below = 0
  const bucket = histogram.findIndex((count) => {
    below += count
    return below >= whole * 0.99
  })
  return { ...counts, p99AnswerUs: whole === 0 ? 0 : bucketEndUs(bucket) }
}

function readAsk(payload: Buffer, helperPid: number): { id: bigint; ask: Ask } {
  const flags = payload[17] ?? 0
  return {
    id: payload.readBigUInt64LE(0),
    ask: {
      contentPath: `/proc/${helperPid}/fd/${payload.readUInt32LE(8)}`,
      pid: payload.readUInt32LE(12),
      kind: payload[16] === 1 ? 'exec' : 'open',
      isKnownBad: (flags & 1) !== 0,
      isAnswered: (flags & 2) !== 0,
      key: readFileKey(payload, 24),
      path: Buffer.from(payload.subarray(24 + fileKeyBytes)),
    },
  }
}

/** The helper takes a frame between two answers: some ten microseconds for so many. */
const rememberedAtOnce = 256
const remembered = { nothing: 0, clean: 1, bad: 2 } as const

/**
 * Holds every exec (and every open, by mode) of a regular file on the marked file systems until it is known to be
 * clean. Needs CAP_SYS_ADMIN, a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS and Linux 5.0 (FAN_OPEN_EXEC_PERM).
 * Processes below `exemptPids` and this process are never held. Throws realtime_unavailable, aborted.
 */
export async function openGuard(options: {
  helperPath: string
  mode: 'exec' | 'exec-and-open'
  exemptPids?: number[]
  onAsk: (ask: Ask) => Promise<AskAnswer>
  onStats?: (stats: GuardStats) => void
  onMountsChanged?: () => void
  onEnd: (end: HelperEnd) => void
  signal?: AbortSignal
}): Promise<Guard> {
  const { helperPath, mode, exemptPids = [], onAsk, onStats, onMountsChanged, onEnd, signal } = options
  async function answer(payload: Buffer): Promise<void> {
    const { id, ask } = readAsk(payload, helper.pid)
    const { allows, remember } = await onAsk(ask)
    const verdict = Buffer.alloc(10)
    verdict.writeBigUInt64LE(id)
    verdict[8] = allows ? 1 : 0
    verdict[9] = remembered[remember]
    helper.send(toHelper.verdict, verdict)
  }
  const helper = await startHelper({
    helperPath,
    args: ['permission', mode, ...[process.pid, ...exemptPids].map(String)],
    onFrame: (type, payload) => {
      if (type === fromHelper.ask) void answer(payload)
      else if (type === fromHelper.stats) onStats?.(readStats(payload))
      else if (type === fromHelper.mounts) onMountsChanged?.()
    },
    onEnd,
    signal,
  })
  return {
    pid: helper.pid,
    mark: helper.mark,
    setPolicy: (policy) => {
      const frame = Buffer.alloc(14)
      frame[0] = policy.whenLate === 'deny' ? 1 : 0
      frame[1] = policy.unknownLarge === 'hold' ? 1 : 0
      frame.writeUInt32LE(policy.budgetMs, 2)
      frame.writeBigUInt64LE(BigInt(policy.maxJudgeBytes), 6)
      helper.send(toHelper.policy, frame)
    },
    remember: (files) => {
      const entries = [...files].map(({ key, verdict }) => {
        const entry = Buffer.alloc(fileKeyBytes + 1)
        writeFileKey(entry, key, 0)
        entry[fileKeyBytes] = remembered[verdict]
        return entry
      })
      for (let at = 0; at < entries.length; at += rememberedAtOnce)
        helper.send(toHelper.known, Buffer.concat(entries.slice(at, at + rememberedAtOnce)))
    },
    forget: () => helper.send(toHelper.forget),
    excludePrograms: (programs) => {
      const frame = Buffer.alloc(programs.length * 16)
      for (const [index, { device, inode }] of programs.entries()) {
        frame.writeBigUInt64LE(device, index * 16)
        frame.writeBigUInt64LE(inode, index * 16 + 8)
      }
      helper.send(toHelper.excludeExes, frame)
    },
    excludePaths: (paths) => helper.send(toHelper.excludePaths, Buffer.concat(paths.map(encodeText))),
    close: helper.close,
  }
}
