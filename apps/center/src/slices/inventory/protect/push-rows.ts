import type { ErrorParams, PushJob, PushTarget } from '@ringwall/contracts'
import { sql } from 'kysely'

export type JobRow = {
  id: string
  created_by: string
  created_at: Date
  ended_at: Date | null
  total: number
  done: number
  failed: number
  cancelled: number
}
export type TargetRow = {
  asset_id: string
  name: string
  address: string
  port: number
  state: PushTarget['state']
  host_key: string | null
  is_host_key_new: boolean
  error_code: string | null
  error_params: ErrorParams | null
  changed_at: Date
}

const countOf = (state: string) =>
  sql`(select count(*) from push_target t where t.job_id = j.id and t.state = ${state})`
export const jobColumns = sql`j.*, (select count(*) from push_target t where t.job_id = j.id) as total,
  ${countOf('done')} as done, ${countOf('failed')} as failed, ${countOf('cancelled')} as cancelled`

export function toJob(row: JobRow): PushJob {
  const { total, done, failed, cancelled } = row
  return {
    id: row.id,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    endedAt: row.ended_at?.toISOString() ?? null,
    counts: { total, done, failed, cancelled, open: total - done - failed - cancelled },
  }
}

export function toTarget(row: TargetRow): PushTarget {
  return {
    assetId: row.asset_id,
    name: row.name,
    address: row.address,
    port: row.port,
    state: row.state,
    hostKey: row.host_key,
    isHostKeyNew: row.is_host_key_new,
    error: row.error_code === null ? null : { code: row.error_code, params: row.error_params ?? {} },
    changedAt: row.changed_at.toISOString(),
  }
}
