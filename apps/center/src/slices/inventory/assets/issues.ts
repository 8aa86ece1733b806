import { AppError, type InventoryIssue } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { SliceParts } from '../../../app/slice.ts'
import type { Core } from '../../../core/core.ts'
import { listPage } from '../../../store/paging.ts'
import { issueAlarmKey } from '../joins/issues.ts'
import { type IssueRow, issueColumns, issueLastMs, toIssue } from './issue-rows.ts'

export function createIssues({ db, live, alarms }: Core) {
  return {
    handlers: {
      listInventoryIssues: async ({ query }) =>
        await listPage<IssueRow, InventoryIssue>(db, {
          ...query,
          select: issueColumns,
          from: sql`inventory_issue i`,
          where: [
            ...(query.state === undefined ? [] : [sql`i.state = ${query.state}`]),
            ...(query.kind === undefined ? [] : [sql`i.kind = ${query.kind}`]),
          ],
          sort: { by: issueLastMs, id: sql`i.id`, type: 'bigint', direction: 'desc' },
          position: (row) => [row.last_ms, row.id],
          toItem: toIssue,
        }),
      dismissInventoryIssue: async ({ params }, context) => {
        const { rows: changed } =
          await sql`update inventory_issue set state = 'dismissed', dismissed_by = ${context.caller?.name ?? ''}
          where id = ${params.id} and state = 'open' returning id`.execute(db)
        const { rows } =
          await sql<IssueRow>`select ${issueColumns} from inventory_issue i where i.id = ${params.id}`.execute(
            db,
          )
        const row = rows[0]
        if (row === undefined) throw new AppError('not_found', { kind: 'inventory issue', id: params.id })
        context.audit({ objectKind: 'inventory_issue', details: { kind: row.kind, value: row.value } })
        if (changed.length === 0)
          throw new AppError('state_conflict', {
            kind: 'inventory issue',
            id: params.id,
            state: row.state,
            needed: 'open',
          })
        await alarms.clear(db, issueAlarmKey(row.kind, row.value))
        live.publish({ type: 'changed', object: 'asset', id: null })
        return { issue: toIssue(row) }
      },
    } satisfies SliceParts['handlers'],
  }
}
