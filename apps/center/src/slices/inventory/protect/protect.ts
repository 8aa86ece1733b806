import { AppError, type Asset, type PushJob } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { SliceParts } from '../../../app/slice.ts'
import type { Core } from '../../../core/core.ts'
import { agentPackageUrlPath } from '../../../http/server.ts'
import { listPage } from '../../../store/paging.ts'
import { createAgentPackage } from './agent-package.ts'
import { installCommand } from './install-script.ts'
import type { Pusher } from './push.ts'
import { type JobRow, jobColumns, type TargetRow, toJob, toTarget } from './push-rows.ts'

const pushTokenHours = 4

type Wanted = {
  id: string
  name: string
  os_family: Asset['osFamily']
  addresses: string[]
  machine_id: string | null
}

/** Ways to bring an agent onto machines that have none. */
export function createProtect({ db, config, enrolTokens, live }: Core, { pusher }: { pusher: Pusher }) {
  const agentPackage = createAgentPackage(config.agentPackagePath)
  const host = config.hostNames[0] ?? 'localhost'
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${config.port}${agentPackageUrlPath}`

  async function wanted(ids: string[]): Promise<Wanted[]> {
    const { rows } = await sql<Wanted>`select id, name, os_family, addresses, machine_id from asset
      where id = any(${ids}::uuid[]) and gone_at is null and kind <> 'template' order by lower(name), id`.execute(
      db,
    )
    const found = new Set(rows.map(({ id }) => id))
    const missing = ids.find((id) => !found.has(id))
    if (missing !== undefined) throw new AppError('not_found', { kind: 'asset', id: missing })
    return rows
  }

  async function job(id: string): Promise<PushJob> {
    const { rows } = await sql<JobRow>`select ${jobColumns} from push_job j where j.id = ${id}`.execute(db)
    if (rows[0] === undefined) throw new AppError('not_found', { kind: 'push job', id })
    return toJob(rows[0])
  }

  const tokenOf = async (name: string, maxUses: number, expiresInHours: number, createdBy: string) => {
    const created = await enrolTokens.create(db, { name, role: 'agent', maxUses, expiresInHours, createdBy })
    live.publish({ type: 'changed', object: 'enrolToken', id: created.enrolToken.id })
    return created
  }

  return {
    handlers: {
      createInstallCommands: async ({ body }, context) => {
        const { sha256, sizeBytes } = await agentPackage()
        const assets = await wanted(body.assetIds)
        const open = assets.filter(({ machine_id }) => machine_id === null)
        const idsOf = (list: Wanted[]) => list.map(({ id }) => id)
        const windows = open.filter(({ os_family }) => os_family === 'windows')
        const linux = open.filter(({ os_family }) => os_family !== 'windows')
        const name = `install ${new Date().toISOString().slice(0, 16)}`
        const maxUses = Math.max(1, linux.length)
        const token = await tokenOf(name, maxUses, body.expiresInHours, context.caller?.name ?? '')
        context.audit({
          objectKind: 'enrol_token',
          objectId: token.enrolToken.id,
          details: { assets: assets.length, maxUses },
        })
        return {
          commands: [
            {
              osFamily: 'linux' as const,
              command: installCommand({ url, sha256, enrolArguments: token.arguments }),
              assetIds: idsOf(linux),
            },
            { osFamily: 'windows' as const, command: null, assetIds: idsOf(windows) },
          ],
          maxUses,
          expiresAt: token.enrolToken.expiresAt,
          agentPackage: { url, sha256, sizeBytes },
          protectedAssetIds: idsOf(assets.filter(({ machine_id }) => machine_id !== null)),
        }
      },
      createPushJob: async ({ body }, context) => {
        const { targets, credentials, concurrency } = body
        const [pack, assets] = [
          await agentPackage(),
          await wanted([...new Set(targets.map(({ assetId }) => assetId))]),
        ]
        const byId = new Map(assets.map((asset) => [asset.id, asset]))
        const createdBy = context.caller?.name ?? ''
        const unique = [...new Map(targets.map((target) => [target.assetId, target])).values()]
        const token = await tokenOf(
          `push ${new Date().toISOString().slice(0, 16)}`,
          unique.length,
          pushTokenHours,
          createdBy,
        )
        const id = await pusher.start(
          { createdBy, credentials, agentPackage: pack, enrolArguments: token.arguments, concurrency },
          unique.map((target) => ({
            ...target,
            hostKey: target.hostKey,
            name: byId.get(target.assetId)?.name ?? '',
            address: target.address ?? byId.get(target.assetId)?.addresses[0] ?? null,
          })),
        )
        context.audit({
          objectKind: 'push_job',
          objectId: id,
          details: { targets: unique.length, account: credentials.username, tokenId: token.enrolToken.id },
        })
        live.publish({ type: 'changed', object: 'pushJob', id })
        return { job: await job(id) }
      },
      listPushJobs: async ({ query }) =>
        await listPage<JobRow, PushJob>(db, {
          ...query,
          select: jobColumns,
          from: sql`push_job j`,
          where: [],
          sort: { by: sql`j.id::text`, id: sql`j.id`, type: 'text', direction: 'desc' },
          position: (row) => [row.id, row.id],
          toItem: toJob,
        }),
      getPushJob: async ({ params }) => {
        const { rows } =
          await sql<TargetRow>`select t.*, a.name from push_target t join asset a on a.id = t.asset_id
          where t.job_id = ${params.id} order by lower(a.name), a.id`.execute(db)
        return { job: await job(params.id), targets: rows.map(toTarget) }
      },
      cancelPushJob: async ({ params }, context) => {
        await job(params.id)
        context.audit({ objectKind: 'push_job' })
        if (!pusher.cancel(params.id))
          throw new AppError('state_conflict', {
            kind: 'push job',
            id: params.id,
            state: 'ended',
            needed: 'one under way',
          })
        return { job: await job(params.id) }
      },
    } satisfies SliceParts['handlers'],
  }
}
