import { AppError, type Platform, type PlatformSync } from '@ringwall/contracts'
import type { PlatformIdentity } from '@ringwall/platforms'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Core } from '../../../core/core.ts'
import type { Applied } from './apply.ts'

/** Lists remembered per platform. */
const keptSyncs = 50
/** Errors that pass by themselves within this time are no alarm. */
const unreachableAfterMs = 300_000

/** An error as it is stored and shown; what is not of the catalog stays in the log. */
function storedError(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError('internal', { errorId: 'log' }, { cause: error })
}

/** Writes down how a platform is doing, and tells consoles. */
export function createHealth({ db, live, alarms, clock }: Pick<Core, 'db' | 'live' | 'alarms' | 'clock'>) {
  const tell = (id: string) => live.publish({ type: 'changed', object: 'platform', id })
  const alarmKey = (id: string) => `platform.unreachable:${id}`
  return {
    state: async (id: string, state: Platform['state']) => {
      await sql`update platform set state = ${state} where id = ${id} and state <> ${state}`.execute(db)
      tell(id)
    },
    identity: async (id: string, identity: PlatformIdentity) => {
      await sql`update platform set identity = ${JSON.stringify(identity)} where id = ${id}`.execute(db)
    },
    /** All is well again. */
    recovered: async (id: string) => {
      await sql`update platform set state = 'watching', error_code = null, error_params = null, error_at = null where id = ${id}`.execute(
        db,
      )
      await alarms.clear(db, alarmKey(id))
      tell(id)
    },
    /** `error_at` stays at the first failure in a row. Whoever fails for long is an alarm. */
    failed: async (id: string, cause: unknown) => {
      const { code, params } = storedError(cause)
      const { rows } = await sql<{
        name: string
        address: string
        error_at: Date
      }>`update platform set state = 'failed', error_code = ${code}, error_params = ${JSON.stringify(params)},
        error_at = coalesce(error_at, now()) where id = ${id} returning name, address, error_at`.execute(db)
      const row = rows[0]
      if (row !== undefined && clock.nowMs() - row.error_at.getTime() >= unreachableAfterMs)
        await alarms.raise(db, {
          kind: 'platform.unreachable',
          severity: 'warning',
          key: alarmKey(id),
          params: { name: row.name, address: row.address.slice(0, 200), error: code },
        })
      tell(id)
    },
    listed: async (
      id: string,
      list: { at: Date; cause: PlatformSync['cause']; durationMs: number; objects: number },
      result: Applied | { error: unknown },
    ) => {
      const error = 'error' in result ? storedError(result.error) : null
      const { added, changed, gone } = 'error' in result ? { added: 0, changed: 0, gone: 0 } : result
      await sql`insert into platform_sync (id, platform_id, at, cause, duration_ms, objects, added, changed, gone, error_code, error_params)
        select ${uuidv7()}, id, ${list.at}, ${list.cause}, ${list.durationMs}, ${list.objects}, ${added}, ${changed}, ${gone},
          ${error?.code ?? null}::text, ${error === null ? null : JSON.stringify(error.params)}::jsonb from platform where id = ${id}`.execute(
        db,
      )
      await sql`delete from platform_sync where platform_id = ${id} and id not in
        (select id from platform_sync where platform_id = ${id} order by id desc limit ${keptSyncs})`.execute(
        db,
      )
      if (error === null)
        await sql`update platform set last_list_at = ${list.at}, last_list_ms = ${list.durationMs} where id = ${id}`.execute(
          db,
        )
      tell(id)
    },
    changed: async (id: string, lagMs: number | null) => {
      await sql`update platform set last_change_at = now(), lag_ms = coalesce(${lagMs}, lag_ms) where id = ${id}`.execute(
        db,
      )
      tell(id)
    },
  }
}
export type Health = ReturnType<typeof createHealth>
