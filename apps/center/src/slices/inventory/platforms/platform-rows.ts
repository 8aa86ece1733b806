import type { ErrorParams, Platform, PlatformCredentials, PlatformSync } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { Db } from '../../../core/core.ts'
import { countGroups, sumCounts } from '../counts.ts'

export type PlatformRow = {
  id: string
  kind: Platform['kind']
  name: string
  address: string
  fingerprint: string | null
  credential_kind: Platform['credentialKind']
  account: string | null
  sealed_credentials: Buffer
  is_enabled: boolean
  resync_minutes: number
  requests_per_second: number
  labels: string[]
  state: Platform['state']
  identity: Platform['identity']
  error_code: string | null
  error_params: ErrorParams | null
  error_at: Date | null
  last_list_at: Date | null
  last_list_ms: number | null
  last_change_at: Date | null
  lag_ms: number | null
  created_at: Date
}
export type PlatformSyncRow = {
  at: Date
  cause: PlatformSync['cause']
  duration_ms: number
  objects: number
  added: number
  changed: number
  gone: number
  error_code: string | null
  error_params: ErrorParams | null
}

export async function findPlatform(db: Db, id: string): Promise<PlatformRow | undefined> {
  return (await sql<PlatformRow>`select * from platform where id = ${id}`.execute(db)).rows[0]
}

/** What may be told of credentials: who signs in, never with what. */
export function accountOf(credentials: PlatformCredentials): string | null {
  if (credentials.kind === 'none') return null
  return credentials.kind === 'token' ? credentials.tokenId : credentials.username
}

/** Rows as the API answers them, with their counts. */
export async function toPlatforms(db: Db, rows: PlatformRow[]): Promise<Platform[]> {
  const ids = rows.map(({ id }) => id)
  const groups = await countGroups(db, sql`a.platform_id = any(${ids}::uuid[])`)
  const { rows: nodes } = await sql<{
    id: string
    clusters: number
    hosts: number
  }>`select p.id, (select count(*) from platform_cluster c where c.platform_id = p.id and c.gone_at is null) as clusters,
      (select count(*) from platform_host h where h.platform_id = p.id and h.gone_at is null) as hosts
    from platform p where p.id = any(${ids}::uuid[])`.execute(db)
  return rows.map((row) => {
    const { clusters, hosts } = nodes.find(({ id }) => id === row.id) ?? { clusters: 0, hosts: 0 }
    return {
      id: row.id,
      kind: row.kind,
      name: row.name,
      address: row.address,
      fingerprint: row.fingerprint,
      credentialKind: row.credential_kind,
      account: row.account,
      isEnabled: row.is_enabled,
      resyncMinutes: row.resync_minutes,
      requestsPerSecond: row.requests_per_second,
      labels: row.labels,
      state: row.state,
      error:
        row.error_code === null || row.error_at === null
          ? null
          : { code: row.error_code, params: row.error_params ?? {}, at: row.error_at.toISOString() },
      identity: row.identity,
      lastListAt: row.last_list_at?.toISOString() ?? null,
      lastListMs: row.last_list_ms,
      lastChangeAt: row.last_change_at?.toISOString() ?? null,
      lagMs: row.lag_ms,
      counts: { ...sumCounts(groups, ({ platformId }) => platformId === row.id), clusters, hosts },
      createdAt: row.created_at.toISOString(),
    }
  })
}

export function toPlatformSync(row: PlatformSyncRow): PlatformSync {
  return {
    at: row.at.toISOString(),
    cause: row.cause,
    durationMs: row.duration_ms,
    objects: row.objects,
    added: row.added,
    changed: row.changed,
    gone: row.gone,
    error: row.error_code === null ? null : { code: row.error_code, params: row.error_params ?? {} },
  }
}
