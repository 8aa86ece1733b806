import { sql } from 'kysely'
import type { Db, MachinePlacement } from '../../core/core.ts'

type Row = MachinePlacement & { machineId: string }

/** Where machines run, as the platforms know it; machines that no platform knows are left out. */
export async function placementsOf(db: Db, machineIds: string[]): Promise<Map<string, MachinePlacement>> {
  const { rows } =
    await sql<Row>`select distinct on (a.machine_id) a.machine_id as "machineId", a.host_id as "hostId", h.name as "hostName",
      a.datastores, a.platform_id as "platformId", parent.machine_id as "parentMachineId", a.kind = 'template' as "isTemplate"
    from asset a left join platform_host h on h.id = a.host_id
    left join asset parent on parent.platform_id = a.platform_id and parent.ref = a.parent_ref
    where a.machine_id = any(${machineIds}::uuid[]) and a.gone_at is null
    order by a.machine_id, a.last_seen_at desc, a.id`.execute(db)
  return new Map(rows.map(({ machineId, ...placement }) => [machineId, placement]))
}
