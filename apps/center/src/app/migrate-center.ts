import { migrate } from '@ringwall/postgres'
import type { Kysely } from 'kysely'
import { slices } from './slices.ts'

/** Brings a database to what this center needs: the migrations of all slices, in their order. Throws what one of them throws. */
export async function migrateCenter(db: Kysely<unknown>): Promise<void> {
  await migrate(
    db,
    slices.map(({ name, migrations }) => ({ slice: name, migrations })),
  )
}
