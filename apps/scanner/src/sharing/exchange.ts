import { join } from 'node:path'
import {
  type ContentVersion,
  type DownMessages,
  isAppError,
  linkLimits,
  sharingLimits,
  type VerdictBatch,
} from '@ringwall/contracts'
import {
  type LinkClient,
  type Logger,
  packHashes,
  packVerdicts,
  readJsonFile,
  unpackHashes,
  unpackVerdicts,
  writeJsonFile,
} from '@ringwall/runtime'
import { z } from 'zod'
import type { VerdictStore } from '../cache/verdict-store.ts'

const answerTimeoutMs = 30_000
/** An agent waits for this: after it, its content is judged here, wherever else it may have been judged. */
const askBudgetMs = 250
/** How long fresh verdicts gather before they are told. */
const gatherMs = 100
const batchLimits = {
  maxRecords: sharingLimits.maxVerdicts,
  maxDetails: sharingLimits.maxDetails,
  maxDetailChars: linkLimits.maxFrameBytes / 2,
}
export type Asked = { taken: number; elsewhere: ReadonlySet<string> }
const cursorSchema = z.object({ cursor: z.number().int().nonnegative() })

/**
 * Shares verdicts with the other scanners through the center: tells what was judged here, takes what was judged
 * there, and asks for what it has not caught up with yet. Everything goes on from where it was after a restart of
 * either side; without a link the scanner works alone.
 */
export function createExchange(options: {
  store: VerdictStore
  dir: string
  link: () => Pick<LinkClient, 'request' | 'isOnline'>
  logger: Logger
  /** A content was judged elsewhere: whoever waits for it may look. */
  onKnown: (sha256: string) => void
}) {
  const { store, logger } = options
  const cursorPath = join(options.dir, 'cursor.json')
  let cursor = readJsonFile(cursorPath, cursorSchema)?.cursor ?? 0
  let wanted = 0
  let received = 0
  let telling: Promise<void> | undefined
  let isCatchingUp = false

  const isOnline = () => options.link().isOnline()
  const onFailure = (what: string) => (error: unknown) => {
    const isExpected = isAppError(error, 'unavailable') || isAppError(error, 'timeout')
    logger[isExpected ? 'info' : 'error']({ error }, what)
  }

  async function take({ records, details, versions }: VerdictBatch): Promise<number> {
    const unpacked = unpackVerdicts(records)
    const taken = await store.receive(unpacked, details, versions)
    received += taken
    for (const { sha256 } of unpacked) options.onKnown(sha256.toString('hex'))
    return taken
  }

  async function tellAll(): Promise<void> {
    for (let batch = store.unsent(batchLimits); batch !== undefined; batch = store.unsent(batchLimits)) {
      const { generation, next, records, details } = batch
      if (records.length > 0) {
        if (!isOnline()) return
        const numbers = [...new Set(records.map(({ version }) => version))]
        const versions: ContentVersion[] = numbers.map((number) => store.versionAt(number))
        const packed = packVerdicts(
          records.map((record) => ({ ...record, version: numbers.indexOf(record.version) })),
        )
        const body = { generation, next, versions, records: packed, details }
        await options.link().request('verdicts', body, answerTimeoutMs)
      }
      store.acknowledge(generation, next)
    }
  }

  async function catchUp(): Promise<void> {
    for (;;) {
      const asked = wanted
      const page = await options.link().request('verdicts.since', { cursor }, answerTimeoutMs)
      await take(page)
      if (page.cursor !== cursor) writeJsonFile(cursorPath, { cursor: page.cursor })
      cursor = page.cursor
      if (page.isLast && wanted === asked) return
    }
  }

  function tell(): void {
    telling ??= tellAll()
      .catch(onFailure('verdicts could not be told; trying again'))
      .finally(() => {
        telling = undefined
      })
  }

  function follow(): void {
    wanted += 1
    if (isCatchingUp) return
    isCatchingUp = true
    void catchUp()
      .catch(onFailure('could not catch up with other scanners; trying again'))
      .finally(() => {
        isCatchingUp = false
      })
  }

  return {
    figures: () => ({ received, cursor }),
    /** Tells and catches up; to be called when the link is there, and every so often. */
    sync: () => {
      if (!isOnline()) return
      tell()
      follow()
    },
    /** There is something new here: soon to be told. */
    onJudged: () => {
      if (telling === undefined && isOnline()) setTimeout(tell, gatherMs)
    },
    onNews: (news: DownMessages['verdicts.news']) => {
      if (news.cursor > cursor) follow()
    },
    /**
     * What other scanners know of these hashes; kept here. Answers for how many, and which another scanner is
     * getting (in hexadecimal). Nothing, when the center is slow or away.
     */
    ask: async (hashes: Buffer[]): Promise<Asked> => {
      let taken = 0
      const elsewhere = new Set<string>()
      if (hashes.length === 0 || !isOnline()) return { taken, elsewhere }
      try {
        for (let at = 0; at < hashes.length; at += sharingLimits.maxAskedHashes) {
          const body = { hashes: packHashes(hashes.slice(at, at + sharingLimits.maxAskedHashes)) }
          const answer = await options.link().request('verdicts.ask', body, askBudgetMs)
          taken += await take(answer)
          for (const sha256 of unpackHashes(answer.elsewhere)) elsewhere.add(sha256.toString('hex'))
        }
      } catch (error) {
        logger.debug({ error }, 'the center did not answer a lookup in time')
      }
      return { taken, elsewhere }
    },
  }
}
export type Exchange = ReturnType<typeof createExchange>
