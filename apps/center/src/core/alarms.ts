import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Alarms, Live } from './core.ts'

/** Alarms in the database. The console is told at once; it reads after the commit, which follows within milliseconds. */
export function createAlarms(live: Live): Alarms {
  const tell = () => setTimeout(() => live.publish({ type: 'changed', object: 'alarm', id: null }), 50)
  return {
    raise: async (db, { kind, severity, key, machineId, params = {} }) => {
      await sql`insert into alarm (id, kind, severity, key, machine_id, params)
        values (${uuidv7()}, ${kind}, ${severity}, ${key}, ${machineId ?? null}, ${JSON.stringify(params)})
        on conflict (key) where state <> 'closed' do update set
          count = alarm.count + 1, last_at = now(), severity = excluded.severity, params = excluded.params,
          machine_id = excluded.machine_id`.execute(db)
      tell()
    },
    clear: async (db, key) => {
      const { numAffectedRows = 0n } =
        await sql`update alarm set state = 'closed', closed_at = now() where key = ${key} and state <> 'closed'`.execute(
          db,
        )
      if (numAffectedRows > 0n) tell()
    },
  }
}
