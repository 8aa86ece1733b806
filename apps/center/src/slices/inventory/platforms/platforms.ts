import { AppError, type Platform, platformKinds } from '@ringwall/contracts'
import type { ConnectorDefinition, Inventory } from '@ringwall/platforms'
import { isUniqueViolation } from '@ringwall/postgres'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { SliceParts } from '../../../app/slice.ts'
import type { Core } from '../../../core/core.ts'
import { listPage } from '../../../store/paging.ts'
import type { CredentialSealer } from './credentials.ts'
import {
  accountOf,
  findPlatform,
  type PlatformRow,
  type PlatformSyncRow,
  toPlatformSync,
  toPlatforms,
} from './platform-rows.ts'
import type { Connectors, Runners } from './runners.ts'

const probeTimeoutMs = 20_000
const checkTimeoutMs = 30_000
/** Of the preview; a large platform has none. */
const previewTimeoutMs = 20_000
const previewNames = 10

type Connection = {
  kind: Platform['kind']
  address: string
  fingerprint: string | null
  credentialKind: Platform['credentialKind']
}

function previewOf(inventory: Inventory) {
  const machines = inventory.machines.filter(({ isTemplate }) => !isTemplate)
  const namesOf = (items: { name: string }[]) =>
    items
      .map(({ name }) => name)
      .sort()
      .slice(0, previewNames)
  return {
    clusters: inventory.clusters.length,
    hosts: inventory.hosts.length,
    machines: machines.length,
    templates: inventory.machines.length - machines.length,
    hostNames: namesOf(inventory.hosts),
    machineNames: namesOf(machines),
  }
}

/** Platforms: what they are, how they are reached, and how they are doing. */
export function createPlatforms(
  { db, live, clock, logger, alarms }: Core,
  { connectors, sealer, runners }: { connectors: Connectors; sealer: CredentialSealer; runners: Runners },
) {
  function definitionOf(kind: Platform['kind']): ConnectorDefinition {
    const definition = connectors[kind]
    if (definition === undefined) throw new AppError('platform_kind_unavailable', { kind })
    return definition
  }

  /** Throws where the connection cannot work as it is; null for imports, which have none. */
  async function checkConnection(connection: Connection): Promise<ConnectorDefinition | null> {
    if (connection.kind === 'import') return null
    const definition = definitionOf(connection.kind)
    definition.validateAddress(connection.address)
    const { kind, credentialKind } = connection
    if (!definition.capabilities.credentialKinds.includes(credentialKind))
      throw new AppError('platform_credentials_kind', { kind, credentialKind })
    return definition
  }

  /** Nothing secret goes to an address whose fingerprint nobody accepted, unless there is nothing to pin. */
  async function requirePin(
    definition: ConnectorDefinition,
    { address, fingerprint }: Pick<Connection, 'address' | 'fingerprint'>,
  ): Promise<void> {
    if (fingerprint !== null) return
    if ((await definition.fingerprint(address, AbortSignal.timeout(probeTimeoutMs))) !== null)
      throw new AppError('platform_fingerprint_missing', { address })
  }

  async function answer(id: string): Promise<{ platform: Platform }> {
    const row = await findPlatform(db, id)
    if (row === undefined) throw new AppError('not_found', { kind: 'platform', id })
    return { platform: (await toPlatforms(db, [row]))[0] as Platform }
  }

  async function unique<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (isUniqueViolation(error)) throw new AppError('conflict', { kind: 'platform', id: name })
      throw error
    }
  }
  const changed = (id: string) => live.publish({ type: 'changed', object: 'platform', id })

  return {
    handlers: {
      listPlatformKinds: async () => ({
        kinds: platformKinds.map((kind) => ({
          kind,
          isAvailable: kind === 'import' || connectors[kind] !== undefined,
          capabilities: connectors[kind]?.capabilities ?? null,
        })),
      }),
      probePlatform: async ({ body }, context) => {
        const definition = definitionOf(body.kind)
        context.audit({ objectKind: 'platform', details: { kind: body.kind, address: body.address } })
        definition.validateAddress(body.address)
        return {
          fingerprint: await definition.fingerprint(body.address, AbortSignal.timeout(probeTimeoutMs)),
        }
      },
      testPlatform: async ({ body }, context) => {
        const { kind, address, fingerprint, credentials } = body
        context.audit({
          objectKind: 'platform',
          details: { kind, address, fingerprint, account: accountOf(credentials) },
        })
        const definition = await checkConnection({ ...body, credentialKind: body.credentials.kind })
        if (definition === null) throw new AppError('platform_kind_unavailable', { kind })
        await requirePin(definition, body)
        const connector = definition.open({
          address,
          fingerprint: fingerprint ?? undefined,
          credentials,
          requestsPerSecond: 10,
          clock,
          logger,
          recorder: undefined,
        })
        try {
          const identity = await connector.check(AbortSignal.timeout(checkTimeoutMs))
          const deadline = AbortSignal.timeout(previewTimeoutMs)
          const preview = await connector.list(deadline).then(previewOf, (error: unknown) => {
            if (deadline.aborted) return null
            throw error
          })
          return { identity, preview }
        } finally {
          await connector.close()
        }
      },
      listPlatforms: async ({ query }) => {
        const page = await listPage<PlatformRow, PlatformRow>(db, {
          ...query,
          select: sql`*`,
          from: sql`platform`,
          where: [],
          sort: { by: sql`lower(name)`, id: sql`id`, type: 'text', direction: 'asc' },
          position: (row) => [row.name.toLowerCase(), row.id],
          toItem: (row) => row,
        })
        return { ...page, items: await toPlatforms(db, page.items) }
      },
      createPlatform: async ({ body }, context) => {
        const definition = await checkConnection({ ...body, credentialKind: body.credentials.kind })
        if (definition !== null) await requirePin(definition, body)
        const {
          kind,
          name,
          address,
          fingerprint,
          credentials,
          isEnabled,
          resyncMinutes,
          requestsPerSecond,
          labels,
        } = body
        const id = uuidv7()
        const state = definition === null ? 'manual' : isEnabled ? 'connecting' : 'disabled'
        await unique(name, async () =>
          sql`insert into platform (id, kind, name, address, fingerprint, credential_kind, account, sealed_credentials, is_enabled,
              resync_minutes, requests_per_second, labels, state)
            values (${id}, ${kind}, ${name}, ${address}, ${fingerprint}, ${credentials.kind}, ${accountOf(credentials)}, ${sealer.seal(id, credentials)},
              ${isEnabled}, ${resyncMinutes}, ${requestsPerSecond}, ${[...new Set(labels)]}, ${state})`.execute(
            db,
          ),
        )
        context.audit({
          objectKind: 'platform',
          objectId: id,
          details: { kind, name, address, fingerprint, account: accountOf(credentials) },
        })
        await runners.restart(id)
        changed(id)
        return await answer(id)
      },
      getPlatform: async ({ params }) => {
        const { rows } =
          await sql<PlatformSyncRow>`select * from platform_sync where platform_id = ${params.id} order by id desc`.execute(
            db,
          )
        return { ...(await answer(params.id)), syncs: rows.map(toPlatformSync) }
      },
      updatePlatform: async ({ params, body }, context) => {
        const { id } = params
        const before = await findPlatform(db, id)
        if (before === undefined) throw new AppError('not_found', { kind: 'platform', id })
        const { credentials, ...settings } = body
        const connection: Connection = {
          kind: before.kind,
          address: body.address ?? before.address,
          fingerprint: body.fingerprint === undefined ? before.fingerprint : body.fingerprint,
          credentialKind: credentials?.kind ?? before.credential_kind,
        }
        const definition = await checkConnection(connection)
        // Kept credentials must not go to an address whose certificate was accepted for another one.
        const isMoved = body.address !== undefined && body.address !== before.address
        if (isMoved && body.fingerprint === undefined) connection.fingerprint = null
        if (definition !== null && (isMoved || body.fingerprint === null))
          await requirePin(definition, connection)
        const after = {
          name: body.name ?? before.name,
          isEnabled: body.isEnabled ?? before.is_enabled,
          resyncMinutes: body.resyncMinutes ?? before.resync_minutes,
          requestsPerSecond: body.requestsPerSecond ?? before.requests_per_second,
          labels: [...new Set(body.labels ?? before.labels)],
        }
        await unique(after.name, async () =>
          sql`update platform set name = ${after.name}, address = ${connection.address}, fingerprint = ${connection.fingerprint},
            credential_kind = ${connection.credentialKind}, account = ${credentials === undefined ? before.account : accountOf(credentials)},
            sealed_credentials = ${credentials === undefined ? before.sealed_credentials : sealer.seal(id, credentials)},
            is_enabled = ${after.isEnabled}, resync_minutes = ${after.resyncMinutes}, requests_per_second = ${after.requestsPerSecond},
            labels = ${after.labels} where id = ${id}`.execute(db),
        )
        context.audit({
          objectKind: 'platform',
          details: { ...settings, ...(credentials === undefined ? {} : { account: accountOf(credentials) }) },
        })
        await runners.restart(id)
        changed(id)
        return await answer(id)
      },
      removePlatform: async ({ params }, context) => {
        const before = await findPlatform(db, params.id)
        if (before === undefined) throw new AppError('not_found', { kind: 'platform', id: params.id })
        context.audit({ objectKind: 'platform', details: { kind: before.kind, name: before.name } })
        await sql`delete from platform where id = ${params.id}`.execute(db)
        await runners.restart(params.id)
        await alarms.clear(db, `platform.unreachable:${params.id}`)
        changed(params.id)
        live.publish({ type: 'changed', object: 'asset', id: null })
      },
      syncPlatform: async ({ params }, context) => {
        const current = await answer(params.id)
        context.audit({ objectKind: 'platform' })
        if (!runners.sync(params.id))
          throw new AppError('state_conflict', {
            kind: 'platform',
            id: current.platform.name,
            state: current.platform.state,
            needed: 'an enabled platform',
          })
        return current
      },
    } satisfies SliceParts['handlers'],
  }
}
