import type { Overview } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { Core, Related } from '../../core/core.ts'

const days = 14
const latestItems = 5

/** What the first page shows: every number is one that a list of the console counts too. */
export function createOverview({ db }: Pick<Core, 'db'>, reads: Related): () => Promise<Overview> {
  return async () => {
    const [machines, findings, byDay, scans, alarms, scanners] = await Promise.all([
      sql<Overview['machines']>`select count(*) as total,
          count(*) filter (where p.link_state = 'online' and p.heartbeat->>'state' is distinct from 'degraded') as protected,
          count(*) filter (where p.link_state = 'online' and p.heartbeat->>'state' = 'degraded') as degraded,
          count(*) filter (where p.link_state <> 'online') as unreachable,
          count(*) filter (where m.pool = 'physical') as physical, count(*) filter (where m.pool = 'virtual') as virtual, count(*) filter (where m.pool = 'cloud') as cloud
        from machine m join peer p on p.id = m.id`.execute(db),
      sql<{
        open: number
        held: number
        failed: number
        reported: number
        quarantined: number
        last24: number
      }>`select count(*) filter (where state in ('reported', 'held', 'failed')) as open,
          count(*) filter (where state = 'held') as held, count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'reported') as reported,
          count(*) filter (where state = 'quarantined') as quarantined, count(*) filter (where detected_at > now() - interval '24 hours') as last24 from finding`.execute(
        db,
      ),
      sql<{
        day: string
        malicious: number
        suspicious: number
      }>`select to_char(d, 'YYYY-MM-DD') as day, count(f.id) filter (where f.severity = 'malicious') as malicious,
          count(f.id) filter (where f.severity = 'suspicious') as suspicious
        from generate_series(date_trunc('day', now() at time zone 'UTC') - make_interval(days => ${days - 1}), date_trunc('day', now() at time zone 'UTC'), interval '1 day') d
        left join finding f on f.detected_at at time zone 'UTC' >= d and f.detected_at at time zone 'UTC' < d + interval '1 day' group by d order by d`.execute(
        db,
      ),
      sql<{
        running: number
        completed: number
      }>`select count(*) filter (where state in ('queued', 'running')) as running,
          count(*) filter (where state = 'completed' and ended_at > now() - interval '24 hours') as completed from scan`.execute(
        db,
      ),
      sql<{
        open: number
        critical: number
      }>`select count(*) as open, count(*) filter (where severity = 'critical') as critical from alarm where state = 'open'`.execute(
        db,
      ),
      sql<{
        count: number
      }>`select count(*) as count from peer where kind = 'scanner' and revoked_at is null and link_state = 'online'`.execute(
        db,
      ),
    ])
    const machine = machines.rows[0] ?? {
      total: 0,
      protected: 0,
      degraded: 0,
      unreachable: 0,
      physical: 0,
      virtual: 0,
      cloud: 0,
    }
    const finding = findings.rows[0] ?? {
      open: 0,
      held: 0,
      failed: 0,
      reported: 0,
      quarantined: 0,
      last24: 0,
    }
    const alarm = alarms.rows[0] ?? { open: 0, critical: 0 }
    const needs: Overview['needsMe'] = [
      { kind: 'no_scanner', count: scanners.rows[0]?.count === 0 ? 1 : 0 },
      { kind: 'no_machines', count: machine.total === 0 ? 1 : 0 },
      { kind: 'findings_held', count: finding.held },
      { kind: 'findings_failed', count: finding.failed },
      { kind: 'alarms_critical', count: alarm.critical },
      { kind: 'findings_reported', count: finding.reported },
      { kind: 'machines_unreachable', count: machine.unreachable },
      { kind: 'machines_degraded', count: machine.degraded },
    ]
    return {
      machines: machine,
      findings: {
        open: finding.open,
        held: finding.held,
        quarantined: finding.quarantined,
        last24Hours: finding.last24,
      },
      findingsByDay: byDay.rows,
      scans: {
        running: scans.rows[0]?.running ?? 0,
        completed24Hours: scans.rows[0]?.completed ?? 0,
        latest: (await reads.latestScans()).slice(0, latestItems),
      },
      alarms: { ...alarm, latest: (await reads.latestAlarms()).slice(0, latestItems) },
      needsMe: needs.filter(({ count }) => count > 0),
    }
  }
}
