import { type Alarm, AppError } from '@ringwall/contracts'
import { type RawBuilder, sql } from 'kysely'
import type { CenterSlice } from '../../app/slice.ts'
import type { Core, Db } from '../../core/core.ts'
import { listPage } from '../../store/paging.ts'

type Row = {
  id: string
  kind: Alarm['kind']
  severity: Alarm['severity']
  state: Alarm['state']
  count: number
  first_at: Date
  last_at: Date
  last_ms: number
  machine_id: string | null
  hostname: string | null
  params: Alarm['params']
  acknowledged_by: string | null
}

const columns = sql`a.*, m.hostname, floor(extract(epoch from a.last_at) * 1000)::bigint as last_ms`
const source = sql`alarm a left join machine m on m.id = a.machine_id`

function toAlarm(row: Row): Alarm {
  return {
    id: row.id,
    kind: row.kind,
    severity: row.severity,
    state: row.state,
    count: row.count,
    firstAt: row.first_at.toISOString(),
    lastAt: row.last_at.toISOString(),
    machineId: row.machine_id,
    hostname: row.hostname,
    params: row.params,
    acknowledgedBy: row.acknowledged_by,
  }
}

/** The newest open alarms, for the first page. */
export async function latestAlarms(db: Db, limit: number): Promise<Alarm[]> {
  const { rows } =
    await sql<Row>`select ${columns} from ${source} where a.state = 'open' order by a.last_at desc limit ${limit}`.execute(
      db,
    )
  return rows.map(toAlarm)
}

function create({ db, live }: Core) {
  async function move(
    id: string,
    from: Alarm['state'][],
    change: RawBuilder<unknown>,
    needed: string,
  ): Promise<{ alarm: Alarm }> {
    const { rows: changed } =
      await sql`update alarm set ${change} where id = ${id} and state = any(${from}) returning id`.execute(db)
    const { rows } = await sql<Row>`select ${columns} from ${source} where a.id = ${id}`.execute(db)
    const row = rows[0]
    if (row === undefined) throw new AppError('not_found', { kind: 'alarm', id })
    if (changed.length === 0)
      throw new AppError('state_conflict', { kind: 'alarm', id, state: row.state, needed })
    live.publish({ type: 'changed', object: 'alarm', id })
    return { alarm: toAlarm(row) }
  }
  return {
    handlers: {
      listAlarms: async ({ query }) => {
        const where: RawBuilder<unknown>[] = []
        for (const [column, value] of [
          ['state', query.state],
          ['severity', query.severity],
          ['kind', query.kind],
        ] as const)
          if (value) where.push(sql`a.${sql.ref(column)} = ${value}`)
        if (query.machineId) where.push(sql`a.machine_id = ${query.machineId}`)
        const sort = {
          by: sql`floor(extract(epoch from a.last_at) * 1000)::bigint`,
          id: sql`a.id`,
          type: 'bigint',
          direction: 'desc',
        } as const
        return await listPage<Row, Alarm>(db, {
          ...query,
          select: columns,
          from: source,
          where,
          sort,
          position: (row) => [row.last_ms, row.id],
          toItem: toAlarm,
        })
      },
      acknowledgeAlarm: async ({ params }, { caller }) =>
        await move(
          params.id,
          ['open'],
          sql`state = 'acknowledged', acknowledged_by = ${caller?.name ?? ''}`,
          'open',
        ),
      closeAlarm: async ({ params }) =>
        await move(
          params.id,
          ['open', 'acknowledged'],
          sql`state = 'closed', closed_at = now()`,
          'open or acknowledged',
        ),
    },
  } satisfies ReturnType<CenterSlice['create']>
}

export const alarms: CenterSlice = {
  name: 'alarms',
  migrations: {
    '2026-11-24-alarm-table': async (db) => {
      await sql`create table alarm (
        id uuid primary key, kind text not null, severity text not null, key text not null, state text not null default 'open',
        count bigint not null default 1, first_at timestamptz not null default now(), last_at timestamptz not null default now(),
        machine_id uuid, params jsonb not null, acknowledged_by text, closed_at timestamptz)`.execute(db)
      await sql`create unique index alarm_open_key on alarm (key) where state <> 'closed'`.execute(db)
      await sql`create index alarm_last on alarm (last_at)`.execute(db)
      await sql`create index alarm_machine on alarm (machine_id)`.execute(db)
    },
  },
  create,
}
