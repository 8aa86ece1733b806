import { AppError, type EnrolToken, type Scanner } from '@ringwall/contracts'
import { hashToken, randomToken, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { CenterSlice } from '../../app/slice.ts'
import type { Core } from '../../core/core.ts'
import { maintainPartitions } from '../../gateway/partitions.ts'
import { listPage } from '../../store/paging.ts'
import { type TokenRow, toEnrolToken } from './enrolment.ts'
import { fleetMigrations } from './migrations.ts'
import { type PeerRow, toScanner } from './peer-store.ts'

const hourMs = 3_600_000

function create({ db, config, pki, clock, live, alarms }: Core) {
  const gatewayAddress = `${config.hostNames[0] ?? 'localhost'}:${config.gatewayPort}`
  return {
    jobs: [
      {
        name: 'event partitions',
        everyMs: hourMs,
        run: async () => await maintainPartitions(db, clock.nowMs(), config.eventDays),
      },
    ],
    link: {
      applied: async (peer, { version, errorCode }) => {
        await sql`update peer set applied_version = ${version}, applied_error = ${errorCode} where id = ${peer.id}`.execute(
          db,
        )
        live.publish({ type: 'changed', object: peer.kind === 'agent' ? 'machine' : 'scanner', id: peer.id })
      },
    },
    events: {
      'agent.problem': async (tx, { machineId, hostname }, { code, params, active }) => {
        const key = `agent.problem:${code}:${machineId}`
        if (active)
          await alarms.raise(tx, {
            kind: 'machine.degraded',
            severity: 'warning',
            key,
            machineId,
            params: { ...params, hostname, problems: code },
          })
        else await alarms.clear(tx, key)
      },
      'spool.gap': async (tx, { machineId, hostname }, { count, class: eventClass }) =>
        await alarms.raise(tx, {
          kind: 'spool.gap',
          severity: eventClass === 'alert' ? 'critical' : 'warning',
          key: `spool.gap:${machineId}:${eventClass}`,
          machineId,
          params: { hostname, count, class: eventClass },
        }),
    },
    handlers: {
      getEnrolmentInfo: async () => ({ gatewayAddress, caHash: pki.caHash, caPem: pki.caPem }),
      listEnrolTokens: async ({ query }) =>
        await listPage<TokenRow, EnrolToken>(db, {
          ...query,
          select: sql`*`,
          from: sql`enrol_token`,
          where: [],
          sort: { by: sql`id::text`, id: sql`id`, type: 'text', direction: 'desc' },
          position: (row) => [row.id, row.id],
          toItem: (row) => toEnrolToken(row, clock.nowMs()),
        }),
      createEnrolToken: async ({ body }, context) => {
        const token = `rwe_${randomToken(24)}`
        const expiresAt = new Date(clock.nowMs() + body.expiresInHours * hourMs)
        const { rows } =
          await sql<TokenRow>`insert into enrol_token (id, name, role, token_hash, max_uses, created_by, expires_at)
          values (${uuidv7()}, ${body.name}, ${body.role}, ${hashToken(token)}, ${body.maxUses}, ${context.caller?.name ?? ''}, ${expiresAt}) returning *`.execute(
            db,
          )
        const enrolToken = toEnrolToken(rows[0] as TokenRow, clock.nowMs())
        context.audit({
          objectKind: 'enrol_token',
          objectId: enrolToken.id,
          details: { name: body.name, role: body.role, maxUses: body.maxUses },
        })
        live.publish({ type: 'changed', object: 'enrolToken', id: enrolToken.id })
        return {
          enrolToken,
          token,
          command: `ringwall ${body.role} enroll --center ${gatewayAddress} --token ${token} --ca-hash ${pki.caHash}`,
        }
      },
      revokeEnrolToken: async ({ params }, context) => {
        const { rows } =
          await sql`update enrol_token set revoked_at = coalesce(revoked_at, now()) where id = ${params.id} returning id`.execute(
            db,
          )
        if (rows.length === 0) throw new AppError('not_found', { kind: 'enrolment token', id: params.id })
        context.audit({ objectKind: 'enrol_token' })
        live.publish({ type: 'changed', object: 'enrolToken', id: params.id })
      },
      listScanners: async ({ query }) =>
        await listPage<PeerRow, Scanner>(db, {
          ...query,
          select: sql`*`,
          from: sql`peer`,
          where: [sql`kind = 'scanner' and revoked_at is null`],
          sort: { by: sql`id::text`, id: sql`id`, type: 'text', direction: 'asc' },
          position: (row) => [row.id, row.id],
          toItem: toScanner,
        }),
    },
  } satisfies ReturnType<CenterSlice['create']>
}

export const fleet: CenterSlice = { name: 'fleet', migrations: fleetMigrations, create }
