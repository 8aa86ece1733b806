import { join } from 'node:path'
import type { CacheFlush } from '@ringwall/contracts'
import { type Logger, readJsonFile, writeJsonFile } from '@ringwall/runtime'
import { z } from 'zod'
import type { VerdictStore } from '../cache/verdict-store.ts'

const doneSchema = z.object({ number: z.number().int().nonnegative() })

/** Carries out orders to forget, each once, in order, also after a restart in the middle of one. */
export function createFlushes({ store, dir, logger }: { store: VerdictStore; dir: string; logger: Logger }) {
  const path = join(dir, 'flush.json')
  let done = readJsonFile(path, doneSchema)?.number
  let queue = Promise.resolve()

  async function carryOut(orders: readonly CacheFlush[]): Promise<void> {
    for (const { number, what } of [...orders].sort((a, b) => a.number - b.number)) {
      if (number <= (done ?? 0)) continue
      // A scanner that is new here has nothing from before.
      if (store.size > 0) await store.forget(what)
      writeJsonFile(path, { number })
      done = number
      logger.info({ number, kind: what.kind }, 'verdicts were forgotten on order')
    }
  }

  return {
    number: () => done ?? 0,
    apply: (orders: readonly CacheFlush[]) => {
      queue = queue
        .then(async () => await carryOut(orders))
        .catch((error: unknown) => logger.error({ error }, 'verdicts could not be forgotten'))
      return queue
    },
  }
}
