import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { type Generated, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assertDurable, connectionUrl, createDatabase, parseInt8 } from './database.ts'
import { isConnectionError, isDiskFull, isUniqueViolation } from './database-errors.ts'
import { createTestDatabase, type TestDatabase } from './test-database.ts'
import { unnest } from './unnest.ts'

interface Tables {
  item: { id: Generated<number>; sha256: Buffer; seen_at: Date; note: string | null; size: number }
}

let test: TestDatabase<Tables>

beforeAll(async () => {
  test = await createTestDatabase<Tables>('items', async (db) => {
    await sql`create table item (
      id bigint generated always as identity primary key,
      sha256 bytea not null constraint item_sha256 unique,
      seen_at timestamptz not null,
      note text,
      size bigint not null)`.execute(db)
  })
})

afterAll(async () => {
  await test.drop()
})

function item(size: number, note: string | null = null): Omit<Tables['item'], 'id'> {
  return { sha256: randomBytes(32), seen_at: new Date(1_790_000_000_123), note, size }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('createDatabase', () => {
  it('gives numbers, Dates and plain dates', async () => {
    const { rows } = await sql`select 9007199254740991::int8 as big, date '2026-11-24' as day,
      '2026-11-24T10:00:00+08'::timestamptz as at`.execute(test.db)
    expect(rows).toEqual([
      { big: Number.MAX_SAFE_INTEGER, day: '2026-11-24', at: new Date('2026-11-24T02:00:00Z') },
    ])
  })

  it('fails instead of rounding a large bigint, and stays usable', async () => {
    await expect(sql`select 9007199254740993::int8 as big`.execute(test.db)).rejects.toThrow(RangeError)
    expect((await sql`select 1::int8 as n`.execute(test.db)).rows).toEqual([{ n: 1 }])
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(parseInt8(String(value))).toBe(value)
      }),
    )
  })

  it('sets the name and the time limit of its sessions', async () => {
    const db = createDatabase<unknown>({ url: test.url, applicationName: 'rw unit', statementTimeoutMs: 50 })
    const { rows } = await sql`select current_setting('application_name') as name`.execute(db)
    expect(rows).toEqual([{ name: 'rw unit' }])
    await expect(sql`select pg_sleep(30)`.execute(db)).rejects.toMatchObject({ code: '57014' })
    await db.destroy()
  })

  it('survives a connection that is lost inside a transaction, between two queries', async () => {
    const warnings: string[] = []
    const logger = { warn: (_fields: object, message: string) => void warnings.push(message) }
    const db = createDatabase<unknown>({ connection: test.connection, poolSize: 1, logger })
    const failed = db.transaction().execute(async (transaction) => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(transaction)
      await sql`select pg_terminate_backend(${rows[0]?.pid}::int, 10000)`.execute(test.db)
      while (warnings.length === 0) await sleep(5)
      await sql`select 1`.execute(transaction)
    })
    expect(isConnectionError(await failureOf(failed))).toBe(true)
    expect((await sql`select 1 as n`.execute(db)).rows).toEqual([{ n: 1 }])
    await db.destroy()
  })

  it('accepts a durable server', async () => {
    await expect(assertDurable(test.db)).resolves.toBeUndefined()
  })

  it('writes URLs for sockets, names and IPv6', () => {
    const parts = { port: 5432, user: 'a b', password: 'p@ss/', database: 'ringwall' }
    expect(connectionUrl({ ...parts, host: 'db.example' })).toBe(
      'postgresql://a%20b:p%40ss%2F@db.example:5432/ringwall',
    )
    expect(connectionUrl({ ...parts, host: '::1' })).toContain('@[::1]:5432/')
    expect(connectionUrl({ ...parts, host: '/run/rw' })).toContain('@/ringwall?host=%2Frun%2Frw&port=5432')
  })
})

describe('error helpers', () => {
  it('recognise a unique violation and its constraint', async () => {
    const row = item(1)
    await test.db.insertInto('item').values(row).execute()
    const error = await failureOf(test.db.insertInto('item').values(row).execute())
    expect(isUniqueViolation(error)).toBe(true)
    expect(isUniqueViolation(error, 'item_sha256')).toBe(true)
    expect(isUniqueViolation(error, 'other')).toBe(false)
    expect(isConnectionError(error)).toBe(false)
  })

  it('recognise a lost connection, a missing server and a full disk', async () => {
    const cut = createDatabase<unknown>({ connection: test.connection, poolSize: 1 })
    const lost = await failureOf(sql`select pg_terminate_backend(pg_backend_pid())`.execute(cut))
    expect(isConnectionError(lost)).toBe(true)
    await cut.destroy()
    const nowhere = createDatabase<unknown>({ connection: { ...test.connection, host: '/nonexistent' } })
    expect(isConnectionError(await failureOf(sql`select 1`.execute(nowhere)))).toBe(true)
    await nowhere.destroy()
    expect(isDiskFull(Object.assign(new Error('no space'), { code: '53100' }))).toBe(true)
    expect(isDiskFull(new Error('no space'))).toBe(false)
  })
})

describe('unnest', () => {
  it('inserts many rows with one parameter per column', async () => {
    const notes = [null, '', 'a,"b"\\{c}', 'NULL', '隔离', "it's"]
    const items = notes.map((note, index) => item(index * 1_000_000_007, note))
    const rows = unnest(items, { sha256: 'bytea', seen_at: 'timestamptz', note: 'text', size: 'int8' })
    const insert = test.db.insertInto('item').columns(rows.columns).expression(rows.expression)
    expect(insert.compile().parameters).toHaveLength(4)
    await insert.execute()
    const kept = await test.db
      .selectFrom('item')
      .select(['sha256', 'seen_at', 'note', 'size'])
      .where(
        'sha256',
        'in',
        items.map(({ sha256 }) => sha256),
      )
      .orderBy('size')
      .execute()
    expect(kept).toEqual(items)
  })

  it('refuses what is no scalar type name', () => {
    expect(() => unnest([{ a: 1 }], { a: 'int8[]' })).toThrow(TypeError)
    expect(() => unnest([{ a: 1 }], { a: 'int8) --' })).toThrow(TypeError)
  })
})

describe('createTestDatabase', () => {
  it('builds a template once and copies it for everyone', async () => {
    let built = 0
    const build = async (): Promise<void> => {
      built++
    }
    const copies = await Promise.all([1, 2, 3].map(() => createTestDatabase<unknown>('counted', build)))
    expect(built).toBe(1)
    expect(new Set(copies.map(({ url }) => url)).size).toBe(3)
    await Promise.all(copies.map((copy) => copy.drop()))
  })
})
