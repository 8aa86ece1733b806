import { AppError } from '@ringwall/contracts'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { SliceParts } from '../../../app/slice.ts'
import type { Core, Tx } from '../../../core/core.ts'
import { lockAssets } from '../platforms/apply.ts'
import { upsertAssets } from '../platforms/apply-machines.ts'
import type { CredentialSealer } from '../platforms/credentials.ts'
import { findPlatform } from '../platforms/platform-rows.ts'
import type { AssetValues } from '../platforms/records.ts'
import { type ImportLine, readImport } from './import-lines.ts'

const defaultName = 'CSV'
type KnownRow = AssetValues & { id: string; labels: string[]; gone_at: Date | null }

/** Machines that no platform knows, from a list of the operator's own. */
export function createImport(
  { db, live }: Core,
  { sealer, onIdentities }: { sealer: CredentialSealer; onIdentities: () => void },
) {
  async function importPlatform(tx: Tx, wanted: string | undefined): Promise<string> {
    if (wanted !== undefined) {
      const platform = await findPlatform(tx, wanted)
      if (platform === undefined) throw new AppError('not_found', { kind: 'platform', id: wanted })
      if (platform.kind !== 'import')
        throw new AppError('state_conflict', {
          kind: 'platform',
          id: platform.name,
          state: platform.kind,
          needed: 'import',
        })
      return wanted
    }
    const { rows } = await sql<{
      id: string
    }>`select id from platform where kind = 'import' order by created_at, id limit 1`.execute(tx)
    if (rows[0] !== undefined) return rows[0].id
    const id = uuidv7()
    const sealed = sealer.seal(id, { kind: 'none' })
    await sql`insert into platform (id, kind, name, address, credential_kind, sealed_credentials, is_enabled, resync_minutes, requests_per_second, labels, state)
      select ${id}, 'import', case when exists (select 1 from platform where lower(name) = lower(${defaultName})) then ${`${defaultName} ${id}`} else ${defaultName} end,
        '', 'none', ${sealed}, true, 60, 10, '{}', 'manual'`.execute(tx)
    return id
  }

  function isSame(known: KnownRow, { values, labels }: ImportLine): boolean {
    const keys = ['name', 'kind', 'guest_os', 'uuid', 'macs', 'addresses'] as const
    return (
      known.gone_at === null &&
      keys.every((key) => String(known[key] ?? '') === String(values[key] ?? '')) &&
      (labels === null || [...known.labels].sort().join('\n') === labels.join('\n'))
    )
  }

  async function write(tx: Tx, platformId: string, lines: ImportLine[], isDryRun: boolean) {
    const refs = lines.map(({ values }) => values.ref)
    const { rows } =
      await sql<KnownRow>`select * from asset where platform_id = ${platformId} and ref = any(${refs}::text[])`.execute(
        tx,
      )
    const known = new Map(rows.map((row) => [row.ref, row]))
    const changed = lines.filter((line) => {
      const before = known.get(line.values.ref)
      return before === undefined || !isSame(before, line)
    })
    const created = changed.filter(({ values }) => !known.has(values.ref)).length
    if (!isDryRun) {
      await lockAssets(tx, 'shared')
      const rowsToWrite = changed
        .map(({ values }) => ({ ...values, id: known.get(values.ref)?.id ?? uuidv7() }))
        .sort((a, b) => (a.ref < b.ref ? -1 : 1))
      await upsertAssets(tx, platformId, rowsToWrite, new Date())
      for (const { values, labels } of changed)
        if (labels !== null)
          await sql`update asset set labels = ${labels} where platform_id = ${platformId} and ref = ${values.ref}`.execute(
            tx,
          )
    }
    return { created, updated: changed.length - created, unchanged: lines.length - changed.length }
  }

  return {
    handlers: {
      importAssets: async ({ body }, context) => {
        const { lines, problems, problemCount } = readImport(body.csv)
        const isApplied = problemCount === 0 && !body.isDryRun
        const result = await db.transaction().execute(async (tx) => {
          if (isApplied) {
            const platformId = await importPlatform(tx, body.platformId)
            return { platformId, ...(await write(tx, platformId, lines, false)) }
          }
          const { rows } = await sql<{
            id: string
          }>`select id from platform where kind = 'import' order by created_at, id limit 1`.execute(tx)
          const platformId =
            body.platformId === undefined ? (rows[0]?.id ?? null) : await importPlatform(tx, body.platformId)
          if (problemCount > 0) return { platformId, created: 0, updated: 0, unchanged: 0 }
          return platformId === null
            ? { platformId, created: lines.length, updated: 0, unchanged: 0 }
            : { platformId, ...(await write(tx, platformId, lines, true)) }
        })
        const { platformId, created, updated } = result
        context.audit({
          objectKind: 'platform',
          ...(platformId === null ? {} : { objectId: platformId }),
          details: { lines: lines.length, created, updated, problems: problemCount, isApplied },
        })
        if (isApplied && platformId !== null) {
          onIdentities()
          live.publish({ type: 'changed', object: 'platform', id: platformId })
          live.publish({ type: 'changed', object: 'asset', id: null })
        }
        return { lines: lines.length, ...result, isApplied, problems, problemCount }
      },
    } satisfies SliceParts['handlers'],
  }
}
