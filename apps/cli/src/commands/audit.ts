import { apiRoutes } from '@ringwall/contracts'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { fill } from '../text/text.ts'

/** `ringwall audit verify`: exits with 6 when the chain is broken. */
export async function verifyAudit(context: Context, options: { json?: boolean }): Promise<number> {
  const result = await context.client()(apiRoutes.verifyAudit, {})
  if (options.json) context.print(JSON.stringify(result, null, 2))
  else if (result.isIntact)
    context.print(fill(context.text.audit.intact, { entries: result.entries, hash: result.headHash }))
  else
    context.print(
      fill(context.text.audit.broken, { seq: result.brokenAtSeq ?? 0, reason: result.reason ?? '' }),
    )
  return result.isIntact ? exitCodes.ok : exitCodes.broken
}
