import { AppError, type PushTarget, type SshCredentials } from '@ringwall/contracts'
import { Semaphore, sleep, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Core } from '../../../core/core.ts'
import type { AgentPackage } from './agent-package.ts'
import { pushTo } from './push-target.ts'

const onlineTimeoutMs = 90_000
const pollMs = 1000

export type WantedTarget = {
  assetId: string
  name: string
  /** Null: none is known. */
  address: string | null
  port: number
  hostKey: string | undefined
}
type Progress = {
  state: PushTarget['state']
  error?: unknown
  hostKey?: string
  isHostKeyNew?: boolean
}

/**
 * Installs agents over SSH. A job lives as long as the center does: its credentials are in memory only, so one that was cut off is
 * told as failed at the next start, not gone on with.
 */
export function createPusher({ db, live, logger }: Pick<Core, 'db' | 'live' | 'logger'>) {
  const running = new Map<string, { abort: AbortController; done: Promise<void> }>()

  async function store(jobId: string, assetId: string, { state, error, hostKey, isHostKeyNew }: Progress) {
    const known =
      error === undefined
        ? null
        : error instanceof AppError
          ? error
          : new AppError('internal', { errorId: jobId })
    if (known !== null && known !== error)
      logger.error({ error, jobId, assetId }, 'a push failed unexpectedly')
    await sql`update push_target set state = ${state}, error_code = ${known?.code ?? null}, error_params = ${known === null ? null : JSON.stringify(known.params)},
      host_key = coalesce(${hostKey ?? null}, host_key), is_host_key_new = coalesce(${isHostKeyNew ?? null}::boolean, is_host_key_new), changed_at = now()
      where job_id = ${jobId} and asset_id = ${assetId}`.execute(db)
    live.publish({ type: 'changed', object: 'pushJob', id: jobId })
  }

  async function acceptedKey(assetId: string): Promise<string | undefined> {
    const { rows } = await sql<{
      fingerprint: string
    }>`select fingerprint from ssh_host_key where asset_id = ${assetId}`.execute(db)
    return rows[0]?.fingerprint
  }

  async function waitOnline(machineId: string, signal: AbortSignal): Promise<void> {
    for (let leftMs = onlineTimeoutMs; leftMs > 0; leftMs -= pollMs) {
      const { rows } =
        await sql`select 1 from peer where id = ${machineId} and link_state = 'online'`.execute(db)
      if (rows.length > 0) return
      await sleep(pollMs, signal)
    }
    throw new AppError('timeout', { what: 'agent', timeoutMs: onlineTimeoutMs })
  }

  async function pushOne(job: JobInput, target: WantedTarget, signal: AbortSignal): Promise<void> {
    const { assetId, name, address, port } = target
    const tell = (progress: Progress) => store(job.id, assetId, progress)
    let hostKey: string | undefined
    try {
      if (address === null) throw new AppError('asset_without_address', { name })
      const stored = await acceptedKey(assetId)
      const expected = target.hostKey ?? stored
      const { machineId } = await pushTo({
        name,
        host: address,
        port,
        credentials: job.credentials,
        agentPackage: job.agentPackage,
        enrolArguments: job.enrolArguments,
        acceptHostKey: (actual) => {
          hostKey = actual
          if (expected !== undefined && actual !== expected)
            throw new AppError('ssh_host_key_changed', { address, actual, expected })
        },
        onStep: async (state) => {
          if (hostKey === undefined) return await tell({ state })
          await sql`insert into ssh_host_key (asset_id, fingerprint, accepted_by) values (${assetId}, ${hostKey}, ${job.createdBy})
            on conflict (asset_id) do update set fingerprint = excluded.fingerprint, accepted_by = excluded.accepted_by, at = now()
            where ssh_host_key.fingerprint <> excluded.fingerprint`.execute(db)
          await tell({ state, hostKey, isHostKeyNew: expected === undefined })
        },
        signal,
      })
      await tell({ state: 'waiting' })
      await waitOnline(machineId, signal)
      await tell({ state: 'done' })
    } catch (error) {
      const seen = hostKey === undefined ? {} : { hostKey }
      await tell(signal.aborted ? { state: 'cancelled', ...seen } : { state: 'failed', error, ...seen })
    }
  }

  async function run(job: JobInput, targets: WantedTarget[], signal: AbortSignal): Promise<void> {
    const slots = new Semaphore({ capacity: job.concurrency })
    await Promise.all(
      targets.map(async (target) => {
        const release = await slots.acquire(1, signal).catch(() => undefined)
        if (release === undefined) return await store(job.id, target.assetId, { state: 'cancelled' })
        await pushOne(job, target, signal).finally(release)
      }),
    )
    await sql`update push_job set ended_at = now() where id = ${job.id}`.execute(db)
    live.publish({ type: 'changed', object: 'pushJob', id: job.id })
  }

  return {
    start: async (input: Omit<JobInput, 'id'>, targets: WantedTarget[]): Promise<string> => {
      const id = uuidv7()
      await db.transaction().execute(async (tx) => {
        await sql`insert into push_job (id, created_by) values (${id}, ${input.createdBy})`.execute(tx)
        for (const { assetId, address, port } of targets)
          await sql`insert into push_target (job_id, asset_id, address, port, state) values (${id}, ${assetId}, ${address ?? ''}, ${port}, 'queued')`.execute(
            tx,
          )
      })
      const abort = new AbortController()
      const done = run({ ...input, id }, targets, abort.signal)
        .catch((error: unknown) => logger.error({ error, jobId: id }, 'a push job broke'))
        .then(() => {
          running.delete(id)
        })
      running.set(id, { abort, done })
      return id
    },
    /** False where it does not run. */
    cancel: (id: string): boolean => {
      running.get(id)?.abort.abort()
      return running.has(id)
    },
    /** Tells the jobs of an earlier run of the center as failed. */
    recover: async () => {
      await sql`update push_target set state = 'failed', error_code = 'aborted', error_params = '{}', changed_at = now()
        where state not in ('done', 'failed', 'cancelled')`.execute(db)
      await sql`update push_job set ended_at = now() where ended_at is null`.execute(db)
    },
    stop: async () => {
      for (const { abort } of running.values()) abort.abort()
      await Promise.all([...running.values()].map(({ done }) => done))
    },
  }
}

type JobInput = {
  id: string
  createdBy: string
  credentials: SshCredentials
  agentPackage: AgentPackage
  enrolArguments: string
  concurrency: number
}
export type Pusher = ReturnType<typeof createPusher>
