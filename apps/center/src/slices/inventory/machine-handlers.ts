import { AppError, type Machine, type MachineDetail, type MachineEvent } from '@ringwall/contracts'
import { type RawBuilder, sql } from 'kysely'
import type { SliceParts } from '../../app/slice.ts'
import type { Core } from '../../core/core.ts'
import { isMadeFrom } from '../../store/lineage.ts'
import { likePattern, listPage } from '../../store/paging.ts'
import {
  assetOf,
  type MachineRow,
  machineColumns,
  machineSource,
  openFindingsOf,
  protectionOf,
  toMachine,
  toMachineDetail,
} from './machine-rows.ts'

type EventRow = { id: string; at: Date; received_at: Date; type: string; body: Record<string, unknown> }

const sorts = {
  hostname: {
    by: sql`lower(m.hostname)`,
    type: 'text',
    direction: 'asc',
    value: (row: MachineRow) => row.hostname.toLowerCase(),
  },
  '-hostname': {
    by: sql`lower(m.hostname)`,
    type: 'text',
    direction: 'desc',
    value: (row: MachineRow) => row.hostname.toLowerCase(),
  },
  lastSeenAt: {
    by: sql`coalesce(floor(extract(epoch from p.last_seen_at) * 1000), 0)::bigint`,
    type: 'bigint',
    direction: 'asc',
    value: (row: MachineRow) => row.last_seen_ms,
  },
  '-lastSeenAt': {
    by: sql`coalesce(floor(extract(epoch from p.last_seen_at) * 1000), 0)::bigint`,
    type: 'bigint',
    direction: 'desc',
    value: (row: MachineRow) => row.last_seen_ms,
  },
  '-openFindings': {
    by: openFindingsOf,
    type: 'bigint',
    direction: 'desc',
    value: (row: MachineRow) => row.open_findings,
  },
} as const

/** A template may have thousands: the lineage page has all of them. */
const shownClones = 10

/** Machines with an agent: lists, one in detail, labels, removal, history. */
export function createMachineHandlers({ db, live, links, machines }: Core) {
  async function detail(id: string): Promise<MachineDetail> {
    const { rows } =
      await sql<MachineRow>`select ${machineColumns} from ${machineSource} where m.id = ${id}`.execute(db)
    const row = rows[0]
    if (row === undefined) throw new AppError('not_found', { kind: 'machine', id })
    const { rows: clones } = await sql<{
      id: string
      hostname: string
      at: Date
      total: number
    }>`select m.id, m.hostname, coalesce(l.at, m.enrolled_at) as at, count(*) over () as total
      from machine_lineage l join machine m on m.id = l.clone_id
      where l.parent_id = ${id} order by lower(m.hostname), m.id limit ${shownClones}`.execute(db)
    return toMachineDetail(row, {
      clones: clones.map(({ total, at, ...clone }) => ({ ...clone, at: at.toISOString() })),
      cloneCount: clones[0]?.total ?? 0,
      asset: await assetOf(db, id),
    })
  }

  return {
    handlers: {
      listMachines: async ({ query }) => {
        const where: RawBuilder<unknown>[] = []
        if (query.search) {
          const pattern = likePattern(query.search)
          where.push(
            sql`(m.hostname ilike ${pattern} or m.os_name ilike ${pattern} or m.id::text ilike ${pattern} or array_to_string(m.labels, ' ') ilike ${pattern} or m.facts->>'addresses' ilike ${pattern})`,
          )
        }
        if (query.pool) where.push(sql`m.pool = ${query.pool}`)
        if (query.osFamily) where.push(sql`m.os_family = ${query.osFamily}`)
        if (query.linkState) where.push(sql`p.link_state = ${query.linkState}`)
        if (query.protection) where.push(sql`${protectionOf} = ${query.protection}`)
        if (query.hasOpenFindings)
          where.push(sql`(${openFindingsOf} > 0) = ${query.hasOpenFindings === 'true'}`)
        if (query.madeFrom) where.push(isMadeFrom(sql`m.id`, query.madeFrom))
        if (query.sha256)
          where.push(
            sql`exists (select 1 from finding f where f.machine_id = m.id and f.sha256 = ${query.sha256})`,
          )
        const { value, ...sort } = sorts[query.sort]
        return await listPage<MachineRow, Machine>(db, {
          ...query,
          select: machineColumns,
          from: machineSource,
          where,
          sort: { ...sort, id: sql`m.id` },
          position: (row) => [value(row), row.id],
          toItem: toMachine,
        })
      },
      getMachine: async ({ params }) => ({ machine: await detail(params.id) }),
      updateMachine: async ({ params, body }, context) => {
        await sql`update machine set labels = ${[...new Set(body.labels)]} where id = ${params.id}`.execute(
          db,
        )
        context.audit({ objectKind: 'machine', details: body })
        machines.placesChanged([params.id])
        live.publish({ type: 'changed', object: 'machine', id: params.id })
        return { machine: await detail(params.id) }
      },
      removeMachine: async ({ params }, context) => {
        const hostname = await db.transaction().execute(async (tx) => {
          const { rows } = await sql<{
            hostname: string
          }>`delete from machine where id = ${params.id} returning hostname`.execute(tx)
          await sql`update peer set revoked_at = now() where id = ${params.id}`.execute(tx)
          await sql`update alarm set state = 'closed', closed_at = now() where machine_id = ${params.id} and state <> 'closed'`.execute(
            tx,
          )
          return rows[0]?.hostname
        })
        if (hostname === undefined) throw new AppError('not_found', { kind: 'machine', id: params.id })
        context.audit({ objectKind: 'machine', details: { hostname } })
        links.close(params.id, 'certificate_revoked')
        live.publish({ type: 'changed', object: 'machine', id: params.id })
      },
      listMachineEvents: async ({ params, query }) =>
        await listPage<EventRow, MachineEvent>(db, {
          ...query,
          select: sql`*`,
          from: sql`event`,
          where: [sql`machine_id = ${params.id}`],
          sort: { by: sql`id::text`, id: sql`id`, type: 'text', direction: 'desc' },
          position: (row) => [row.id, row.id],
          toItem: (row) => ({
            id: row.id,
            at: row.at.toISOString(),
            receivedAt: row.received_at.toISOString(),
            type: row.type,
            body: row.body,
          }),
        }),
    } satisfies SliceParts['handlers'],
  }
}
