import { randomUUID } from 'node:crypto'
import { type AgentEvent, emptyScanProgress } from '@ringwall/contracts'
import { createTestDatabase, type TestDatabase } from '@ringwall/postgres'
import { derivedUuid, systemClock, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { migrateCenter } from '../app/migrate-center.ts'
import type { LinkPeer, SliceParts } from '../app/slice.ts'
import type { Core } from '../core/core.ts'
import { createScanReports } from '../slices/malware/scan-reports.ts'
import { insertTargets } from '../slices/malware/scan-rows.ts'
import { createIngest } from './ingest.ts'
import { maintainPartitions } from './partitions.ts'

let database: TestDatabase<unknown>
let peer: LinkPeer
let scanId: string
let alarms: number
let ingest: ReturnType<typeof createIngest>

beforeAll(async () => {
  database = await createTestDatabase('ingest', migrateCenter)
  await maintainPartitions(database.db, Date.now(), 30)
})
afterAll(async () => await database?.drop())
beforeEach(async () => {
  const { db } = database
  const id = uuidv7()
  peer = { id, kind: 'agent', hostname: 'web-1' } as LinkPeer
  scanId = uuidv7()
  alarms = 0
  await sql`insert into peer (id, kind, name, cert_serial, cert_not_after, cert_fingerprint)
    values (${id}, 'agent', 'web-1', '1', now(), '')`.execute(db)
  await sql`insert into machine (id, hostname, os_family, os_name, pool, facts, agent_version)
    values (${id}, 'web-1', 'linux', 'Debian', '', '{}', '1')`.execute(db)
  await sql`insert into scan (id, paths, created_by) values (${scanId}, '[]', 'test')`.execute(db)
  await insertTargets(db, scanId, [id], new Map())
  const raise = async () => {
    alarms += 1
  }
  const core = { db, live: { publish: () => undefined }, alarms: { raise } }
  const { events } = createScanReports(core as unknown as Core)
  ingest = createIngest({
    db,
    clock: systemClock,
    slices: () => [{ events } as unknown as SliceParts],
    figures: { eventsCommitted: 0, unknownMessages: 0 } as Core['figures'],
  })
})

const ended = (outcome: 'completed' | 'failed', filesSeen: number, id: string = uuidv7()): AgentEvent => ({
  id,
  at: new Date(filesSeen * 1000).toISOString(),
  type: 'scan.ended',
  scanId,
  outcome,
  errorCode: outcome === 'failed' ? 'internal' : null,
  progress: { ...emptyScanProgress, filesSeen },
})
const batch = (firstSeq: number, events: AgentEvent[], epoch: string) => ({
  epoch,
  records: events.map((event, index) => ({ seq: firstSeq + index, event })),
})
async function target(): Promise<unknown> {
  const { rows } =
    await sql`select state, error_code, (progress->>'filesSeen')::int as seen, ended_at from scan_target
    where scan_id = ${scanId}`.execute(database.db)
  return rows[0]
}
async function kept(): Promise<number> {
  const { rows } = await sql<{
    count: number
  }>`select count(*)::int as count from event where machine_id = ${peer.id} and type = 'scan.ended'`.execute(
    database.db,
  )
  return rows[0]?.count ?? 0
}

it('keeps the first of two ends that a killed agent told, in one batch, in another and in another epoch', async () => {
  const epoch = randomUUID()
  const id = derivedUuid('scan.ended', peer.id, scanId)
  const first = ended('completed', 7, id)
  expect(await ingest(peer, batch(1, [first, first], epoch))).toBe(2)
  expect(await ingest(peer, batch(3, [first], epoch))).toBe(3)
  expect(await ingest(peer, batch(1, [ended('failed', 9, id)], randomUUID()))).toBe(1)
  expect(await kept()).toBe(1)
  expect(await target()).toEqual({ state: 'completed', error_code: null, seen: 7, ended_at: new Date(7000) })
  expect(alarms).toBe(0)
})

it('commits each event that has an id of its own, and ends the scan with the first of them', async () => {
  const epoch = randomUUID()
  expect(await ingest(peer, batch(1, [ended('failed', 7), ended('failed', 8)], epoch))).toBe(2)
  expect(await kept()).toBe(2)
  expect(await target()).toMatchObject({ state: 'failed', seen: 7 })
  expect(alarms).toBe(1)
})

it('believes the machine that a scan which was cancelled here ran after all, once', async () => {
  await sql`update scan_target set state = 'cancelled', ended_at = now() where scan_id = ${scanId}`.execute(
    database.db,
  )
  const epoch = randomUUID()
  await ingest(peer, batch(1, [ended('completed', 7), ended('failed', 8)], epoch))
  expect(await target()).toMatchObject({ state: 'completed', seen: 7 })
})
