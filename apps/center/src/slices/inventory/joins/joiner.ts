import type { MachineFacts } from '@ringwall/contracts'
import { unnest } from '@ringwall/postgres'
import { sleep } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Core, Db } from '../../../core/core.ts'
import { lockAssets } from '../platforms/apply.ts'
import { storeIssues } from './issues.ts'
import { cleanIdentity, duplicateIdentities, type Identity, type Join, matchIdentities } from './match.ts'

/** Changes within this time are looked at together. */
const settleMs = 500
/** Matching rests for this many times as long as it took: agents that all come back at once must not keep the center busy. */
const restFactor = 5
/** Changes that nobody told of are found after this. */
const backstopMs = 300_000

type Node = Identity & {
  table: 'asset' | 'platform_host'
  machineId: string | null
  evidence: string | null
  isTemplate: boolean
}

async function readNodes(db: Db): Promise<Node[]> {
  const { rows } =
    await sql<Node>`select id, uuid, macs, addresses, 'asset' as table, machine_id as "machineId", join_evidence as evidence,
      kind = 'template' as "isTemplate" from asset where gone_at is null
    union all select id, uuid, '{}', case when address is null then '{}' else array[address] end, 'platform_host', machine_id, join_evidence, false
      from platform_host where gone_at is null`.execute(db)
  return rows.map(cleanIdentity)
}

async function readAgents(db: Db): Promise<Identity[]> {
  const { rows } = await sql<{
    id: string
    uuid: string | null
    nics: MachineFacts['addresses']
  }>`select id, facts->'dmi'->>'uuid' as uuid, facts->'addresses' as nics from machine`.execute(db)
  return rows.map(({ id, uuid, nics }) =>
    cleanIdentity({
      id,
      uuid,
      macs: nics.map(({ mac }) => mac),
      addresses: nics.map(({ address }) => address),
    }),
  )
}

export type Joiner = {
  /** Says that facts or assets changed. */
  changed: () => void
  /** Matches everything now. */
  join: () => Promise<void>
  run: (signal: AbortSignal) => Promise<void>
}

/** Keeps agents joined to what platforms know. All of it is matched each time: a join may become clear, or unclear, by a machine that has no part in it. */
export function createJoiner({
  db,
  live,
  alarms,
  logger,
  machines,
}: Pick<Core, 'db' | 'live' | 'alarms' | 'logger' | 'machines'>): Joiner {
  let wake: (() => void) | undefined
  let isDue = false
  const changed = () => {
    isDue = true
    wake?.()
  }

  async function write(nodes: Node[], joins: Join[]): Promise<string[]> {
    const byNode = new Map(joins.map((join) => [join.assetId, join]))
    const different = nodes.filter(({ id, machineId, evidence }) => {
      const join = byNode.get(id)
      return (join?.machineId ?? null) !== machineId || (join?.evidence ?? null) !== evidence
    })
    if (different.length === 0) return []
    await db.transaction().execute(async (tx) => {
      await lockAssets(tx, 'exclusive')
      for (const table of ['asset', 'platform_host'] as const) {
        const rows = different
          .filter((node) => node.table === table)
          .map(({ id }) => ({
            id,
            machine_id: byNode.get(id)?.machineId ?? null,
            evidence: byNode.get(id)?.evidence ?? null,
          }))
        const { expression } = unnest(rows, { id: 'uuid', machine_id: 'uuid', evidence: 'text' })
        // A machine may have been removed since it was read.
        await sql`update ${sql.table(table)} t set machine_id = m.id, join_evidence = case when m.id is null then null else r.evidence end
          from (${expression}) as r (id, machine_id, evidence) left join machine m on m.id = r.machine_id
          where t.id = r.id and t.gone_at is null`.execute(tx)
      }
    })
    return different.flatMap(({ id, machineId }) => [machineId ?? [], byNode.get(id)?.machineId ?? []].flat())
  }

  async function join(): Promise<void> {
    isDue = false
    const nodes = await readNodes(db)
    const candidates = nodes.filter(({ isTemplate }) => !isTemplate)
    const { joins, issues } = matchIdentities(candidates, await readAgents(db))
    const isAsset = new Set(nodes.filter(({ table }) => table === 'asset').map(({ id }) => id))
    const machineIds = await write(nodes, joins)
    const all = [...issues, ...duplicateIdentities(nodes.filter(({ table }) => table === 'asset'))].map(
      (issue) => ({
        ...issue,
        assetIds: issue.assetIds.filter((id) => isAsset.has(id)),
      }),
    )
    const isChanged = await db.transaction().execute(async (tx) => await storeIssues(tx, alarms, all))
    machines.placesChanged(machineIds)
    for (const id of new Set(machineIds)) live.publish({ type: 'changed', object: 'machine', id })
    if (isChanged || machineIds.length > 0) live.publish({ type: 'changed', object: 'asset', id: null })
  }

  return {
    changed,
    join,
    run: async (signal) => {
      isDue = true
      while (!signal.aborted) {
        try {
          const startedMs = performance.now()
          if (isDue) await join()
          const restMs = Math.max(settleMs, restFactor * (performance.now() - startedMs))
          if (!isDue) {
            const woken = new Promise<void>((resolve) => {
              wake = resolve
            })
            const resting = new AbortController()
            const stop = AbortSignal.any([signal, resting.signal])
            await Promise.race([woken, sleep(backstopMs, stop).then(changed, () => undefined)])
            resting.abort()
          }
          await sleep(restMs, signal)
        } catch (error) {
          if (signal.aborted) return
          logger.error({ error }, 'agents and assets could not be joined')
          isDue = true
          await sleep(settleMs * 10, signal).catch(() => undefined)
        }
      }
    },
  }
}
