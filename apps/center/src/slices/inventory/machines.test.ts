import { createTestDatabase, type TestDatabase } from '@ringwall/postgres'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrateCenter } from '../../app/migrate-center.ts'
import { createMachines } from './machines.ts'

let database: TestDatabase<unknown>
const machines = createMachines()
const ids = Array.from({ length: 3 }, () => uuidv7()) as [string, string, string]
const [first, second, third] = ids

beforeAll(async () => {
  database = await createTestDatabase('machines', migrateCenter)
})
afterAll(async () => await database?.drop())
beforeEach(async () => {
  await sql`truncate machine cascade`.execute(database.db)
  for (const [index, id] of ids.entries())
    await sql`insert into machine (id, hostname, os_family, os_name, pool, facts, agent_version)
      values (${id}, ${`m${index}`}, 'linux', 'Debian 12', 'virtual', '{}', '1')`.execute(database.db)
})

async function lineage() {
  const { rows } = await sql<{
    clone_id: string
    parent_id: string
    source: string
  }>`select clone_id, parent_id, source from machine_lineage order by clone_id`.execute(database.db)
  return rows.map((row) => [row.clone_id, row.parent_id, row.source])
}
const like = async (id: string, parentId: string) =>
  await machines.setLikeness(database.db, id, { parentId, at: new Date().toISOString() })
const enrolAsCopy = async (id: string, parentId: string) =>
  await sql`update machine set lineage_parent = ${parentId}, lineage_evidence = 'same certificate' where id = ${id}`.execute(
    database.db,
  )

describe('likeness of machines', () => {
  it('tells who was made from whom where nobody else does, and the last word counts', async () => {
    await like(third, first)
    await like(third, second)
    expect(await lineage()).toEqual([[third, second, 'likeness']])
  })

  it('gives way to better evidence, also to its opposite', async () => {
    await like(third, first)
    await enrolAsCopy(third, second)
    expect(await lineage()).toEqual([[third, second, 'enrolment']])
    await like(second, first)
    await enrolAsCopy(first, second)
    expect(await lineage()).toEqual(
      [
        [first, second, 'enrolment'],
        [third, second, 'enrolment'],
      ].sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    )
    await sql`insert into lineage_statement (machine_id, parent_id, reason, stated_by) values (${second}, null, 'it is the template', 'ann')`.execute(
      database.db,
    )
    expect((await lineage()).map(([id]) => id)).not.toContain(second)
  })

  it('makes no circle, and nothing of a machine that is gone', async () => {
    await like(second, first)
    await like(third, second)
    await like(first, third)
    await like(first, first)
    await like(first, uuidv7())
    expect((await lineage()).map(([id]) => id)).toEqual([second, third])
    await sql`delete from machine where id = ${second}`.execute(database.db)
    expect(await lineage()).toEqual([])
  })
})
