import { AppError } from '@ringwall/contracts'
import { type RawBuilder, sql } from 'kysely'
import type { Db } from '../core/core.ts'

/** A position in a list: the sort value and the id of the last row seen. */
type Position = [value: string | number | null, id: string]

export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url')
}

/** Throws invalid_cursor. */
export function decodeCursor(cursor: string): Position {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (
      Array.isArray(value) &&
      value.length === 2 &&
      typeof value[1] === 'string' &&
      ['string', 'number'].includes(typeof value[0])
    )
      return value as Position
  } catch {
    // Falls through.
  }
  throw new AppError('invalid_cursor')
}

export type ListOptions<Row, Item> = {
  cursor?: string | undefined
  limit: number
  /** Everything from `from` on but the where clause; the list is its rows that match `where`. */
  select: RawBuilder<unknown>
  from: RawBuilder<unknown>
  where: RawBuilder<unknown>[]
  /** Sort expression and how a cursor value becomes its type, e.g. `timestamptz`. */
  sort: {
    by: RawBuilder<unknown>
    id: RawBuilder<unknown>
    type: 'text' | 'timestamptz' | 'bigint'
    direction: 'asc' | 'desc'
  }
  position: (row: Row) => Position
  toItem: (row: Row) => Item
}

/** One page of a list by keyset: stable while rows come and go, and as fast on the last page as on the first. */
export async function listPage<Row, Item>(
  db: Db,
  options: ListOptions<Row, Item>,
): Promise<{ items: Item[]; nextCursor: string | null; total: number }> {
  const { cursor, limit, select, from, where, sort } = options
  const filter = (conditions: RawBuilder<unknown>[]) =>
    conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`
  const direction = sql.raw(sort.direction)
  const conditions = [...where]
  if (cursor !== undefined) {
    const [value, id] = decodeCursor(cursor)
    const comparison = sql.raw(sort.direction === 'asc' ? '>' : '<')
    conditions.push(
      sql`(${sort.by}, ${sort.id}::text) ${comparison} (${value}::${sql.raw(sort.type)}, ${id}::text)`,
    )
  }
  const [page, count] = await Promise.all([
    sql<Row>`select ${select} from ${from} ${filter(conditions)} order by ${sort.by} ${direction}, ${sort.id}::text ${direction} limit ${limit + 1}`.execute(
      db,
    ),
    sql<{ total: number }>`select count(*) as total from ${from} ${filter(where)}`.execute(db),
  ])
  const rows = page.rows.slice(0, limit)
  const last = rows.at(-1)
  const hasMore = page.rows.length > limit && last !== undefined
  return {
    items: rows.map(options.toItem),
    nextCursor: hasMore ? encodeCursor(options.position(last)) : null,
    total: count.rows[0]?.total ?? 0,
  }
}

/** Text for `ilike`, with its wildcards taken literally. */
export function likePattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`
}

/** A page of a list that is in memory; the cursor is a place in it. Throws invalid_cursor. */
export function pageOfArray<T>(
  all: readonly T[],
  { cursor, limit }: { cursor?: string | undefined; limit: number },
): { items: T[]; nextCursor: string | null; total: number } {
  const from = cursor === undefined ? 0 : Number(decodeCursor(cursor)[0])
  if (!Number.isSafeInteger(from) || from < 0) throw new AppError('invalid_cursor')
  const to = from + limit
  return {
    items: all.slice(from, to),
    nextCursor: to < all.length ? encodeCursor([to, '']) : null,
    total: all.length,
  }
}
