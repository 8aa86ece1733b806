import { derivedUuid, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Machines } from '../../core/core.ts'
import { isMadeFrom } from '../../store/lineage.ts'
import { placementsOf } from './placements.ts'

/** Lines of the center's own in a machine's history share one epoch per machine; their numbers only need to differ. */
let lastSeq = 0

function nextSeq(): number {
  lastSeq = Math.max(lastSeq + 1, Date.now() * 1000)
  return lastSeq
}

/** Machines in the database, for slices that meet them. */
export function createMachines(): Machines {
  const listeners: (() => void)[] = []
  const placeListeners: ((machineIds: readonly string[]) => void)[] = []
  const tell = () => {
    for (const listener of listeners) listener()
  }
  return {
    create: async (db, { id, facts, agentVersion, lineage }) => {
      await sql`insert into machine (id, hostname, os_family, os_name, pool, hypervisor, facts, agent_version, lineage_parent, lineage_evidence, lineage_at, labels)
        select ${id}, ${facts.hostname}, ${facts.os.family}, ${facts.os.name}, ${facts.pool}, ${facts.hypervisor}, ${JSON.stringify(facts)}, ${agentVersion},
          ${lineage?.parentId ?? null}::uuid, ${lineage?.evidence ?? null}::text, case when ${lineage !== undefined}::boolean then now() end,
          coalesce((select labels from machine where id = ${lineage?.parentId ?? null}::uuid), '{}')`.execute(
        db,
      )
      tell()
    },
    updateFacts: async (db, id, facts, agentVersion) => {
      await sql`update machine set hostname = ${facts.hostname}, os_family = ${facts.os.family}, os_name = ${facts.os.name}, pool = ${facts.pool},
        hypervisor = ${facts.hypervisor}, facts = ${JSON.stringify(facts)}, agent_version = ${agentVersion} where id = ${id}`.execute(
        db,
      )
      tell()
    },
    setLikeness: async (db, id, { parentId, at }) => {
      await sql`insert into machine_likeness (machine_id, parent_id, at)
        select ${id}, p.id, ${at} from machine p where p.id = ${parentId} and p.id <> ${id}
          and not ${isMadeFrom(sql`p.id`, id)}
        on conflict (machine_id) do update set parent_id = excluded.parent_id, at = excluded.at`.execute(db)
    },
    note: async (db, id, type, body) => {
      await sql`insert into event (received_at, machine_id, epoch, seq, id, at, type, body)
        values (now(), ${id}, ${derivedUuid('center', id)}, ${nextSeq()}, ${uuidv7()}, now(), ${type}, ${JSON.stringify(body)})`.execute(
        db,
      )
    },
    onFacts: (listener) => {
      listeners.push(listener)
    },
    onPlaces: (listener) => {
      placeListeners.push(listener)
    },
    placesChanged: (machineIds) => {
      if (machineIds.length > 0) for (const listener of placeListeners) listener(machineIds)
    },
    placementsOf,
    existing: async (db, ids) => {
      const { rows } = await sql<{
        id: string
      }>`select id from machine where id = any(${ids}::uuid[])`.execute(db)
      return rows.map(({ id }) => id)
    },
  }
}
