import { AppError, apiRoutes, type ErrorCode, errorCatalog, type QuarantineItem } from '@ringwall/contracts'
import { sleep } from '@ringwall/runtime'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { fill } from '../text/text.ts'

const pollIntervalMs = 500

async function findItem(context: Context, id: string): Promise<QuarantineItem> {
  for (let cursor: string | undefined; ; ) {
    const page = await context.client()(apiRoutes.listQuarantine, {
      query: { limit: 500, ...(cursor ? { cursor } : {}) },
    })
    const item = page.items.find((candidate) => candidate.id === id)
    if (item !== undefined) return item
    if (page.nextCursor === null) throw new AppError('not_found', { kind: 'quarantine item', id })
    cursor = page.nextCursor
  }
}

async function waitForOutcome(
  context: Context,
  asked: QuarantineItem,
  signal: AbortSignal,
): Promise<QuarantineItem> {
  let item = asked
  while (item.state === 'restoring' || item.state === 'deleting') {
    await sleep(pollIntervalMs, signal)
    item = await findItem(context, item.id)
  }
  if (item.errorCode !== null && item.errorCode in errorCatalog)
    throw new AppError(item.errorCode as ErrorCode, { path: item.path, id: item.id, kind: 'file' })
  return item
}

/** `ringwall quarantine restore ID`: waits until the machine has done it. */
export async function restoreQuarantined(
  context: Context,
  id: string,
  options: { overwrite?: boolean; keepBlocked?: boolean; json?: boolean },
  signal: AbortSignal,
): Promise<number> {
  const { item: asked } = await context.client()(apiRoutes.restoreQuarantined, {
    params: { id },
    body: { overwrite: options.overwrite ?? false, allowHash: !options.keepBlocked },
  })
  context.note(fill(context.text.quarantine.asked, { hostname: asked.hostname, path: asked.path }))
  const item = await waitForOutcome(context, asked, signal)
  context.print(
    options.json
      ? JSON.stringify(item, null, 2)
      : fill(context.text.quarantine.restored, { path: item.path }),
  )
  return exitCodes.ok
}

/** `ringwall quarantine delete ID` */
export async function deleteQuarantined(
  context: Context,
  id: string,
  options: { json?: boolean },
  signal: AbortSignal,
): Promise<number> {
  const { item: asked } = await context.client()(apiRoutes.deleteQuarantined, { params: { id } })
  const item = await waitForOutcome(context, asked, signal)
  context.print(
    options.json ? JSON.stringify(item, null, 2) : fill(context.text.quarantine.deleted, { path: item.path }),
  )
  return exitCodes.ok
}
