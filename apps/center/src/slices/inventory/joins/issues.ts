import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Alarms, Tx } from '../../../core/core.ts'
import type { Issue } from './match.ts'

/** Of more members than this the first ones show the issue. */
const maxMembers = 100

type StoredRow = {
  id: string
  kind: string
  value: string
  asset_ids: string[]
  machine_ids: string[]
  state: 'open' | 'dismissed' | 'resolved'
}

export const issueAlarmKey = (kind: string, value: string) => `inventory.duplicate:${kind}:${value}`

/**
 * Brings the stored issues in step with those that are now: new ones open, those that are no more are resolved, dismissed ones stay so until
 * their members change. A shared identity is an alarm. Answers whether anything changed.
 */
export async function storeIssues(tx: Tx, alarms: Alarms, issues: Issue[]): Promise<boolean> {
  const { rows } =
    await sql<StoredRow>`select id, kind, value, asset_ids, machine_ids, state from inventory_issue`.execute(
      tx,
    )
  const stored = new Map(rows.map((row) => [`${row.kind} ${row.value}`, row]))
  let isChanged = false
  for (const issue of issues) {
    const key = `${issue.kind} ${issue.value}`
    const assetIds = issue.assetIds.slice(0, maxMembers)
    const machineIds = issue.machineIds.slice(0, maxMembers)
    const before = stored.get(key)
    stored.delete(key)
    const isSame =
      before?.asset_ids.join() === assetIds.join() && before.machine_ids.join() === machineIds.join()
    if (before !== undefined && isSame && before.state !== 'resolved') continue
    isChanged = true
    await sql`insert into inventory_issue (id, kind, value, asset_ids, machine_ids, state)
      values (${uuidv7()}, ${issue.kind}, ${issue.value}, ${assetIds}, ${machineIds}, 'open')
      on conflict (kind, value) do update set asset_ids = excluded.asset_ids, machine_ids = excluded.machine_ids, state = 'open',
        dismissed_by = null, last_at = now()`.execute(tx)
    if (issue.kind.startsWith('duplicate'))
      await alarms.raise(tx, {
        kind: 'inventory.duplicate',
        severity: 'warning',
        key: issueAlarmKey(issue.kind, issue.value),
        params: { value: issue.value, count: issue.assetIds.length },
      })
  }
  for (const { id, kind, value, state } of stored.values()) {
    if (state === 'resolved') continue
    isChanged = true
    await sql`update inventory_issue set state = 'resolved', last_at = now() where id = ${id}`.execute(tx)
    await alarms.clear(tx, issueAlarmKey(kind, value))
  }
  return isChanged
}
