import type { InventoryIssue } from '@ringwall/contracts'
import { sql } from 'kysely'

export type IssueRow = {
  id: string
  kind: InventoryIssue['kind']
  state: InventoryIssue['state']
  value: string
  assets: InventoryIssue['assets']
  machines: InventoryIssue['machines']
  first_at: Date
  last_at: Date
  last_ms: number
  dismissed_by: string | null
}

export const issueLastMs = sql`floor(extract(epoch from i.last_at) * 1000)::bigint`
export const issueColumns = sql`i.id, i.kind, i.state, i.value, i.first_at, i.last_at, i.dismissed_by, ${issueLastMs} as last_ms,
  coalesce((select jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name, 'platformName', p.name) order by a.name, a.id)
    from asset a join platform p on p.id = a.platform_id where a.id = any(i.asset_ids)), '[]') as assets,
  coalesce((select jsonb_agg(jsonb_build_object('id', m.id, 'hostname', m.hostname) order by m.hostname, m.id)
    from machine m where m.id = any(i.machine_ids)), '[]') as machines`

export function toIssue(row: IssueRow): InventoryIssue {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    value: row.value,
    assets: row.assets,
    machines: row.machines,
    firstAt: row.first_at.toISOString(),
    lastAt: row.last_at.toISOString(),
    dismissedBy: row.dismissed_by,
  }
}
