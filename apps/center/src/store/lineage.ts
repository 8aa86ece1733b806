import { type RawBuilder, sql } from 'kysely'

/** Whether a platform made one asset from another, and it has a machine; the names of both in the query. */
export const isMadeByPlatform = (copy: string, origin: string) => {
  const [c, o] = [sql.raw(copy), sql.raw(origin)]
  return sql`${c}.platform_id = ${o}.platform_id and ${c}.parent_ref = ${o}.ref and ${c}.gone_at is null and ${c}.machine_id is not null`
}

/**
 * Query of the ids of the machines made from a machine, or from an asset that has none, directly or over others (view
 * `machine_lineage`); ends on a circle too.
 */
export const madeFrom = (ancestorId: RawBuilder<unknown>) => sql`with recursive made (id) as (
    select clone_id from machine_lineage where parent_id = ${ancestorId}
    union select made_copy.machine_id from asset made_origin join asset made_copy on ${isMadeByPlatform('made_copy', 'made_origin')}
      where made_origin.id = ${ancestorId}
    union select l.clone_id from made join machine_lineage l on l.parent_id = made.id)
    select id from made where id <> ${ancestorId}`

/** Whether a machine was made from another, or from an asset; see `madeFrom`. */
export const isMadeFrom = (machineId: RawBuilder<unknown>, ancestorId: string) =>
  sql<boolean>`${machineId} in (${madeFrom(sql`${ancestorId}::uuid`)})`
