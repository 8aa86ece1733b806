import { AppError, type EnrolToken, type Scanner } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { CenterSlice } from '../../app/slice.ts'
import type { Core } from '../../core/core.ts'
import { maintainPartitions } from '../../gateway/partitions.ts'
import { listPage } from '../../store/paging.ts'
import { gatewayAddressOf, type TokenRow, toEnrolToken } from './enrol-tokens.ts'
import { fleetMigrations } from './migrations.ts'
import { type PeerRow, toScanner } from './peer-store.ts'

const hourMs = 3_600_000

function create({ db, config, pki, clock, live, alarms, enrolTokens }: Core) {
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
      getEnrolmentInfo: async () => ({
        gatewayAddress: gatewayAddressOf(config),
        caHash: pki.caHash,
        caPem: pki.caPem,
      }),
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
        const created = await enrolTokens.create(db, { ...body, createdBy: context.caller?.name ?? '' })
        const { enrolToken, token } = created
        context.audit({
          objectKind: 'enrol_token',
          objectId: enrolToken.id,
          details: { name: body.name, role: body.role, maxUses: body.maxUses },
        })
        live.publish({ type: 'changed', object: 'enrolToken', id: enrolToken.id })
        return {
          enrolToken,
          token,
          command: `ringwall ${body.role} enroll ${created.arguments}`,
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
