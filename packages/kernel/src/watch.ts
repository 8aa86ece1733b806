import { AppError } from '@ringwall/contracts'
import { decodeTexts, fromHelper, toHelper } from './frames.ts'
import { type HelperEnd, startHelper } from './helper-process.ts'

/** Why changes were lost: the kernel's queue was full, or more paths changed than a stretch holds. */
export type WatchGap = 'overflow' | 'too_many'

export type Watch = {
  pid: number
  /** Watches the file system of a mount point; the name of the error where that cannot be. */
  mark: (path: Buffer) => Promise<string | undefined>
  /** Resolves when everything that changed before the call was told. */
  settle: (signal?: AbortSignal) => Promise<void>
  /** The same; from then on each path that changes is told again, once. `onBegin` is called exactly between the two. */
  beginStretch: (onBegin: () => void, signal?: AbortSignal) => Promise<void>
  close: () => Promise<void>
}

/**
 * Tells the paths that change on the marked file systems: written, created, deleted, renamed, other attributes.
 * Needs CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH and Linux 5.9 (FAN_REPORT_DFID_NAME). Throws realtime_unavailable, aborted.
 */
export async function openWatch(options: {
  helperPath: string
  /** Absolute paths; the buffers are good during the call only. */
  onChanged: (paths: Iterable<Buffer>) => void
  onGap: (gap: WatchGap) => void
  onMountsChanged?: () => void
  onEnd: (end: HelperEnd) => void
  signal?: AbortSignal
}): Promise<Watch> {
  const waiting = new Map<number, { onSynced: () => void; reject: (error: AppError) => void }>()
  let token = 0
  let hasEnded = false
  const gone = () => new AppError('realtime_unavailable', { reason: 'the helper ended' })

  const helper = await startHelper({
    helperPath: options.helperPath,
    args: ['journal'],
    onFrame: (type, payload) => {
      if (type === fromHelper.changed) options.onChanged(decodeTexts(payload))
      else if (type === fromHelper.gap) options.onGap(payload.readUInt32LE(0) === 1 ? 'overflow' : 'too_many')
      else if (type === fromHelper.mounts) options.onMountsChanged?.()
      else if (type === fromHelper.synced) waiting.get(payload.readUInt32LE(0))?.onSynced()
    },
    onEnd: (end) => {
      hasEnded = true
      options.onEnd(end)
      for (const { reject } of waiting.values()) reject(gone())
    },
    signal: options.signal,
  })

  async function roundTrip(type: number, onSynced: () => void, signal?: AbortSignal): Promise<void> {
    if (hasEnded) throw gone()
    token = (token + 1) >>> 0
    const mine = token
    const frame = Buffer.alloc(4)
    frame.writeUInt32LE(mine)
    try {
      await new Promise<void>((resolve, reject) => {
        // Not after an await: the next frame may lie in the same chunk.
        const settle = () => {
          onSynced()
          resolve()
        }
        waiting.set(mine, { onSynced: settle, reject })
        signal?.addEventListener('abort', () => reject(new AppError('aborted')), { once: true })
        helper.send(type, frame)
      })
    } finally {
      waiting.delete(mine)
    }
  }

  return {
    pid: helper.pid,
    mark: helper.mark,
    settle: async (signal) => await roundTrip(toHelper.sync, () => undefined, signal),
    beginStretch: async (onBegin, signal) => await roundTrip(toHelper.stretch, onBegin, signal),
    close: async () => {
      hasEnded = true
      await helper.close()
      for (const { reject } of waiting.values()) reject(gone())
    },
  }
}
