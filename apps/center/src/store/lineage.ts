import { type RawBuilder, sql } from 'kysely'

/** Whether a machine was made from another, directly or over others (view `machine_lineage`); ends on a circle too. */
export const isMadeFrom = (machineId: RawBuilder<unknown>, ancestorId: string) =>
  sql<boolean>`${machineId} in (with recursive made (id) as (
    select clone_id from machine_lineage where parent_id = ${ancestorId}
    union select l.clone_id from made join machine_lineage l on l.parent_id = made.id)
    select id from made where id <> ${ancestorId})`
