import { migrate } from '@ringwall/postgres'
import type { Kysely } from 'kysely'
import type { CenterSlice } from './slice.ts'
import { slices as allSlices } from './slices.ts'

/** Brings a database to what a center of these slices needs: their migrations, in order. Throws what one of them throws. */
export async function migrateCenter(
  db: Kysely<unknown>,
  slices: readonly CenterSlice[] = allSlices,
): Promise<void> {
  await migrate(
    db,
    slices.map(({ name, migrations }) => ({ slice: name, migrations })),
  )
}
