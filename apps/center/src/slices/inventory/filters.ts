import { AppError, roleHas, type SavedFilter } from '@ringwall/contracts'
import { isUniqueViolation } from '@ringwall/postgres'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Caller, SliceParts } from '../../app/slice.ts'
import type { Core } from '../../core/core.ts'

type Row = {
  id: string
  list: SavedFilter['list']
  name: string
  query: SavedFilter['query']
  is_shared: boolean
  owner_id: string
  owner_name: string
  created_at: Date
}

function toFilter(row: Row, caller: Caller | undefined): SavedFilter {
  return {
    id: row.id,
    list: row.list,
    name: row.name,
    query: row.query,
    isShared: row.is_shared,
    ownerName: row.owner_name,
    isOwn: row.owner_id === caller?.userId,
    createdAt: row.created_at.toISOString(),
  }
}

function requireSharing(isShared: boolean | undefined, caller: Caller | undefined): void {
  if (isShared === true && (caller === undefined || !roleHas(caller.role, 'assets.write')))
    throw new AppError('forbidden', { permission: 'assets.write' })
}

async function unique<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError('conflict', { kind: 'filter', id: name })
    throw error
  }
}

/** Filters that people keep. Another one's own filter does not exist; a shared one is changed by its owner and by administrators. */
export function createFilters({ db }: Core) {
  async function changeable(id: string, caller: Caller | undefined): Promise<Row> {
    const { rows } = await sql<Row>`select * from saved_filter where id = ${id}`.execute(db)
    const row = rows[0]
    const isOwn = row?.owner_id === caller?.userId
    const isAdministrators = row?.is_shared === true && caller?.role === 'administrator'
    if (row === undefined || !(isOwn || isAdministrators))
      throw new AppError('not_found', { kind: 'filter', id })
    return row
  }
  return {
    handlers: {
      listSavedFilters: async ({ query }, { caller }) => {
        const { rows } =
          await sql<Row>`select * from saved_filter where (owner_id = ${caller?.userId ?? ''} or is_shared)
          and (${query.list ?? null}::text is null or list = ${query.list ?? null}) order by lower(name), id limit 500`.execute(
            db,
          )
        return { filters: rows.map((row) => toFilter(row, caller)) }
      },
      createSavedFilter: async ({ body }, context) => {
        const { caller } = context
        requireSharing(body.isShared, caller)
        const { list, name, query, isShared } = body
        const { rows } = await unique(name, async () =>
          sql<Row>`insert into saved_filter (id, list, name, query, is_shared, owner_id, owner_name)
            values (${uuidv7()}, ${list}, ${name}, ${JSON.stringify(query)}, ${isShared}, ${caller?.userId ?? ''}, ${caller?.name ?? ''}) returning *`.execute(
            db,
          ),
        )
        const filter = toFilter(rows[0] as Row, caller)
        context.audit({ objectKind: 'saved_filter', objectId: filter.id, details: { list, name, isShared } })
        return { filter }
      },
      updateSavedFilter: async ({ params, body }, context) => {
        const before = await changeable(params.id, context.caller)
        requireSharing(body.isShared, context.caller)
        const name = body.name ?? before.name
        const { rows } = await unique(name, async () =>
          sql<Row>`update saved_filter set name = ${name}, query = ${JSON.stringify(body.query ?? before.query)},
            is_shared = ${body.isShared ?? before.is_shared} where id = ${params.id} returning *`.execute(db),
        )
        context.audit({
          objectKind: 'saved_filter',
          details: { name, isShared: body.isShared ?? before.is_shared },
        })
        return { filter: toFilter(rows[0] ?? before, context.caller) }
      },
      removeSavedFilter: async ({ params }, context) => {
        const { name } = await changeable(params.id, context.caller)
        await sql`delete from saved_filter where id = ${params.id}`.execute(db)
        context.audit({ objectKind: 'saved_filter', details: { name } })
      },
    } satisfies SliceParts['handlers'],
  }
}
