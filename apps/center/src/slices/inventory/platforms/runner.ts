import { AppError, type ErrorCode, isAppError, type PlatformSync } from '@ringwall/contracts'
import type { Change, Connector, ConnectorDefinition } from '@ringwall/platforms'
import { fullJitterDelayMs, sleep } from '@ringwall/runtime'
import type { Core } from '../../../core/core.ts'
import { type Applied, applyChanges, applyInventory } from './apply.ts'
import type { CredentialSealer } from './credentials.ts'
import type { Health } from './health.ts'
import type { PlatformRow } from './platform-rows.ts'

export type RunnerTimings = {
  backoffBaseMs: number
  backoffCapMs: number
  /** After errors that only a person can mend, so that an account is not locked by trying. */
  patientMs: number
  /** Hints within this time become one list. */
  hintSettleMs: number
  /** A connector is silent for at most this long. */
  silenceMs: number
}
export const defaultTimings: RunnerTimings = {
  backoffBaseMs: 1000,
  backoffCapMs: 60_000,
  patientMs: 600_000,
  hintSettleMs: 2000,
  silenceMs: 180_000,
}
const needsPerson: ReadonlySet<ErrorCode> = new Set([
  'platform_login_failed',
  'platform_permission',
  'platform_address_invalid',
  'platform_credentials_lost',
  'platform_kind_unavailable',
  'certificate_untrusted',
])

export type RunnerDeps = Pick<Core, 'db' | 'clock' | 'logger' | 'live' | 'machines'> & {
  sealer: CredentialSealer
  health: Health
  timings: RunnerTimings
  /** Told when what joins depend on changed. */
  onIdentities: () => void
}
export type Runner = {
  /** Asks for a complete list now, also in the middle of a back-off. */
  sync: () => void
  /** Resolves when the connector was closed. */
  stop: () => Promise<void>
}

/**
 * Follows one platform until it is stopped: check, list, apply, watch, and a complete list again every `resync_minutes`, when somebody asks, or when
 * a hint says that something is gone or was missed. An error ends the session; the next one begins after a back-off with full jitter.
 */
export function startRunner(
  deps: RunnerDeps,
  platform: PlatformRow,
  definition: ConnectorDefinition | undefined,
): Runner {
  const { db, clock, live, machines, health, timings, sealer } = deps
  const { id, name } = platform
  const logger = deps.logger
  const stopping = new AbortController()
  let wake = new AbortController()
  let attempt = 0
  let isSyncAsked = false

  function open(): Connector {
    if (definition === undefined) throw new AppError('platform_kind_unavailable', { kind: platform.kind })
    return definition.open({
      address: platform.address,
      fingerprint: platform.fingerprint ?? undefined,
      credentials: sealer.open(platform, platform.sealed_credentials),
      requestsPerSecond: platform.requests_per_second,
      clock,
      logger,
      recorder: undefined,
    })
  }

  function publish(applied: Applied): void {
    if (applied.isIdentityChanged) deps.onIdentities()
    if (applied.added + applied.changed + applied.gone + applied.hostsChanged > 0)
      live.publish({ type: 'changed', object: 'asset', id: null })
    machines.placesChanged(applied.changedMachineIds)
    for (const machineId of applied.migratedMachineIds)
      live.publish({ type: 'changed', object: 'machine', id: machineId })
  }

  async function list(connector: Connector, cause: PlatformSync['cause']): Promise<void> {
    const at = new Date(clock.nowMs())
    const startedMs = clock.monotonicMs()
    const took = () => Math.round(clock.monotonicMs() - startedMs)
    let objects = 0
    try {
      const inventory = await connector.list(stopping.signal, (count) => {
        objects = count
      })
      objects = inventory.clusters.length + inventory.hosts.length + inventory.machines.length
      const applied = await applyInventory({ db, machines }, platform, inventory, at)
      await health.listed(id, { at, cause, durationMs: took(), objects }, applied)
      publish(applied)
    } catch (error) {
      if (!stopping.signal.aborted)
        await health.listed(id, { at, cause, durationMs: took(), objects }, { error })
      throw error
    }
  }

  async function take(changes: Change[]): Promise<Applied> {
    const at = new Date(clock.nowMs())
    const applied = await applyChanges({ db, machines }, platform, changes, at)
    publish(applied)
    const times = changes.flatMap((change) =>
      change.type === 'machine' && change.at !== null ? [change.at.getTime()] : [],
    )
    await health.changed(
      id,
      times.length === 0 ? null : Math.max(0, Math.round(clock.nowMs() - Math.max(...times))),
    )
    return applied
  }

  /** Applies changes until a complete list is due; answers why it is. */
  async function watch(connector: Connector): Promise<PlatformSync['cause']> {
    const ending = new AbortController()
    let cause: PlatformSync['cause'] = 'interval'
    let isHinted = false
    const hint = (why: PlatformSync['cause']) => {
      if (isHinted) return
      isHinted = true
      cause = why
      setTimeout(() => ending.abort(), why === 'request' ? 0 : timings.hintSettleMs)
    }
    const interval = setTimeout(() => ending.abort(), platform.resync_minutes * 60_000)
    let isSilent = false
    const onSilence = () => {
      isSilent = true
      ending.abort()
    }
    let silence = setTimeout(onSilence, timings.silenceMs)
    const onWake = () => hint('request')
    wake = new AbortController()
    wake.signal.addEventListener('abort', onWake)
    if (isSyncAsked) onWake()
    const signal = AbortSignal.any([stopping.signal, ending.signal])
    try {
      for await (const changes of connector.watch(signal)) {
        clearTimeout(silence)
        if (changes.length > 0) {
          const applied = await take(changes)
          if (applied.hasUnknownHost || changes.some(({ type }) => type === 'resync')) hint('resync')
          if (changes.some(({ type }) => type === 'gone')) hint('gone')
        }
        silence = setTimeout(onSilence, timings.silenceMs)
        if (signal.aborted) break
      }
      // It ended by itself: what happened since is not known.
      if (!signal.aborted) {
        cause = 'resync'
        await sleep(timings.hintSettleMs, stopping.signal)
      }
    } catch (error) {
      if (!ending.signal.aborted || stopping.signal.aborted || isSilent) throw error
    } finally {
      clearTimeout(interval)
      clearTimeout(silence)
    }
    if (isSilent) throw new AppError('timeout', { what: name, timeoutMs: timings.silenceMs })
    return cause
  }

  async function session(): Promise<void> {
    const connector = open()
    try {
      await health.state(id, 'connecting')
      await health.identity(id, await connector.check(stopping.signal))
      await health.state(id, 'listing')
      for (
        let cause: PlatformSync['cause'] = 'start';
        !stopping.signal.aborted;
        cause = await watch(connector)
      ) {
        isSyncAsked = false
        await list(connector, cause)
        await health.recovered(id)
        attempt = 0
      }
    } finally {
      await connector.close()
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await session()
      } catch (error) {
        if (stopping.signal.aborted) return
        logger.warn({ error, platform: name, attempt }, 'a platform failed')
        await health
          .failed(id, error)
          .catch((cause: unknown) =>
            logger.error({ error: cause, platform: name }, 'a failure could not be stored'),
          )
        const isPatient = isAppError(error) && needsPerson.has(error.code)
        const delayMs = fullJitterDelayMs({
          attempt,
          baseMs: timings.backoffBaseMs,
          capMs: timings.backoffCapMs,
        })
        attempt += 1
        wake = new AbortController()
        if (!isSyncAsked)
          await sleep(
            isPatient ? timings.patientMs : delayMs,
            AbortSignal.any([stopping.signal, wake.signal]),
          ).catch(() => undefined)
        isSyncAsked = false
      }
    }
  }

  const running = run()
  return {
    sync: () => {
      isSyncAsked = true
      wake.abort()
    },
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}
