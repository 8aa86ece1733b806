import type { Machine, MachineDetail, MachineFacts, UpMessages } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { Db } from '../../core/core.ts'

export type MachineRow = {
  id: string
  hostname: string
  os_family: 'linux' | 'windows'
  os_name: string
  pool: Machine['pool']
  hypervisor: string | null
  facts: MachineFacts
  labels: string[]
  agent_version: string
  enrolled_at: Date
  last_scan_at: Date | null
  lineage: { parent_id: string; hostname: string; evidence: string; at: string | null } | null
  link_state: Machine['linkState']
  protection: Machine['protection']
  last_seen_at: Date | null
  last_seen_ms: number
  heartbeat: UpMessages['heartbeat'] | null
  open_findings: number
  cert_serial: string
  cert_not_after: Date
  cert_fingerprint: string
  desired_version: number
  applied_version: number
  applied_error: string | null
}

/** Protected: online, and the agent says that nothing is degraded. */
export const protectionOf = sql`case when p.link_state <> 'online' then 'unreachable' when p.heartbeat->>'state' = 'degraded' then 'degraded' else 'protected' end`
export const openFindingsOf = sql`(select count(*) from finding f where f.machine_id = m.id and f.state in ('reported', 'held', 'failed'))`
export const machineSource = sql`machine m join peer p on p.id = m.id`
export const machineColumns = sql`m.*, p.link_state, p.last_seen_at, p.heartbeat, p.cert_serial, p.cert_not_after, p.cert_fingerprint,
  p.desired_version, p.applied_version, p.applied_error, ${protectionOf} as protection, ${openFindingsOf} as open_findings,
  coalesce(floor(extract(epoch from p.last_seen_at) * 1000), 0)::bigint as last_seen_ms,
  (select to_jsonb(o) from (select l.parent_id, parent.hostname, l.evidence, l.at from machine_lineage l
    join machine parent on parent.id = l.parent_id where l.clone_id = m.id) o) as lineage`

export function toMachine(row: MachineRow): Machine {
  const isReachable = row.link_state === 'online'
  return {
    id: row.id,
    hostname: row.hostname,
    osFamily: row.os_family,
    osName: row.os_name,
    pool: row.pool,
    hypervisor: row.hypervisor,
    addresses: [...new Set(row.facts.addresses.map(({ address }) => address))],
    linkState: row.link_state,
    protection: row.protection,
    problems: isReachable ? (row.heartbeat?.problems ?? []) : [],
    agentVersion: row.agent_version,
    lastSeenAt: row.last_seen_at?.toISOString() ?? null,
    enrolledAt: row.enrolled_at.toISOString(),
    lastScanAt: row.last_scan_at?.toISOString() ?? null,
    openFindings: row.open_findings,
    lineage:
      row.lineage === null
        ? null
        : {
            parentId: row.lineage.parent_id,
            parentHostname: row.lineage.hostname,
            kind: 'clone',
            evidence: row.lineage.evidence,
            at:
              row.lineage.at === null
                ? row.enrolled_at.toISOString()
                : new Date(row.lineage.at).toISOString(),
          },
    labels: row.labels,
  }
}

/** What a platform knows of a machine, if one does. */
export async function assetOf(db: Db, machineId: string): Promise<MachineDetail['asset']> {
  const { rows } = await sql<{
    id: string
    name: string
    platform_id: string
    platform_name: string
    host_id: string | null
    host_name: string | null
    join_evidence: string | null
  }>`select a.id, a.name, a.platform_id, p.name as platform_name, a.host_id, h.name as host_name, a.join_evidence
    from asset a join platform p on p.id = a.platform_id left join platform_host h on h.id = a.host_id
    where a.machine_id = ${machineId} and a.gone_at is null order by a.last_seen_at desc, a.id limit 1`.execute(
    db,
  )
  const row = rows[0]
  if (row === undefined) return null
  return {
    id: row.id,
    name: row.name,
    platform: { id: row.platform_id, name: row.platform_name },
    host: row.host_id === null ? null : { id: row.host_id, name: row.host_name ?? '' },
    evidence: row.join_evidence ?? '',
  }
}

export function toMachineDetail(
  row: MachineRow,
  related: Pick<MachineDetail, 'clones' | 'cloneCount' | 'asset'>,
): MachineDetail {
  const { heartbeat } = row
  return {
    ...toMachine(row),
    facts: row.facts,
    certificate: {
      serial: row.cert_serial,
      notAfter: row.cert_not_after.toISOString(),
      fingerprint: row.cert_fingerprint,
    },
    desiredVersion: row.desired_version,
    appliedVersion: row.applied_version,
    appliedErrorCode: row.applied_error,
    agent:
      heartbeat === null
        ? null
        : {
            rssBytes: heartbeat.rssBytes,
            cpuPercent: heartbeat.cpuPercent,
            spoolRecords: heartbeat.spoolRecords,
            spoolBytes: heartbeat.spoolBytes,
            droppedRecords: heartbeat.droppedRecords,
            unknownMessages: heartbeat.unknownMessages,
            realtime: heartbeat.realtime ?? null,
            caps: heartbeat.caps ?? null,
            modules: heartbeat.modules ?? [],
          },
    ...related,
  }
}
