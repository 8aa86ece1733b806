import { type Kysely, sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type MigrationSet, migrate } from './migrator.ts'
import { createTestDatabase, type TestDatabase } from './test-database.ts'

let test: TestDatabase<unknown>

beforeEach(async () => {
  test = await createTestDatabase<unknown>('empty', async () => {})
})

afterEach(async () => {
  await test.drop()
})

function step(text: string): (db: Kysely<unknown>) => Promise<void> {
  return async (db) => {
    await sql.raw(text).execute(db)
  }
}

const inventory: MigrationSet = {
  slice: 'inventory',
  migrations: {
    '2026-03-01-machine-names': step('alter table machine add name text'),
    '2026-01-01-machines': step('create table machine (id int primary key)'),
  },
}
const malware: MigrationSet = {
  slice: 'malware',
  migrations: { '2026-02-01-findings': step('create table finding (machine int references machine)') },
}

describe('migrate', () => {
  it('runs all slices in order of key, once', async () => {
    const keys = ['2026-01-01-machines', '2026-02-01-findings', '2026-03-01-machine-names']
    expect(await migrate(test.db, [malware, inventory])).toEqual(keys)
    expect(await migrate(test.db, [malware, inventory])).toEqual([])
    const { rows } = await sql`select key, slice from schema_migration order by key`.execute(test.db)
    expect(rows).toEqual([
      { key: keys[0], slice: 'inventory' },
      { key: keys[1], slice: 'malware' },
      { key: keys[2], slice: 'inventory' },
    ])
  })

  it('lets one process work at a time', async () => {
    const results = await Promise.all([1, 2, 3].map(() => migrate(test.db, [inventory, malware])))
    expect(results.map(({ length }) => length).sort()).toEqual([0, 0, 3])
  })

  it('refuses a database of a newer version and names the keys', async () => {
    await migrate(test.db, [inventory, malware])
    const refused = migrate(test.db, [inventory])
    await expect(refused).rejects.toMatchObject({
      code: 'database_newer',
      params: { keys: '2026-02-01-findings' },
    })
  })

  it('undoes a failed step only, and goes on from there', async () => {
    const half = step('create table b (n int); select 1 / 0')
    const broken = {
      slice: 's',
      migrations: { '2026-01-01-a': step('create table a (n int)'), '2026-01-02-b': half },
    }
    await expect(migrate(test.db, [broken])).rejects.toMatchObject({ code: '22012' })
    const mended = {
      slice: 's',
      migrations: { ...broken.migrations, '2026-01-02-b': step('create table b (n int)') },
    }
    expect(await migrate(test.db, [mended])).toEqual(['2026-01-02-b'])
  })

  it('gives up a table lock it does not get', async () => {
    await migrate(test.db, [inventory])
    const late = {
      slice: 'inventory',
      migrations: { ...inventory.migrations, '2026-04-01-late': step('alter table machine add n int') },
    }
    await test.db.transaction().execute(async (holder) => {
      await sql`lock table machine in access exclusive mode`.execute(holder)
      await expect(migrate(test.db, [late], { lockTimeoutMs: 50 })).rejects.toMatchObject({ code: '55P03' })
    })
    expect(await migrate(test.db, [late])).toEqual(['2026-04-01-late'])
  })

  it('refuses a key two slices use', async () => {
    const other = { slice: 'other', migrations: { '2026-01-01-machines': step('select 1') } }
    await expect(migrate(test.db, [inventory, other])).rejects.toThrow(/used by inventory and other/)
  })
})
