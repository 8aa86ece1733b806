import { AppError, type Asset, type AssetDetail, type Placement } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { SliceParts } from '../../../app/slice.ts'
import type { Core } from '../../../core/core.ts'
import { listPage } from '../../../store/paging.ts'
import {
  type AssetFilter,
  type AssetRow,
  assetColumns,
  assetSource,
  assetWhere,
  firstSeenMs,
  seenMs,
  toAsset,
} from './asset-rows.ts'
import { formatCsv } from './csv.ts'
import { exportOnlyColumns, importColumns } from './import-lines.ts'
import { type IssueRow, issueColumns, toIssue } from './issue-rows.ts'

const exportPage = 500
const shownPlacements = 100
const shownChildren = 100

const byName = {
  by: sql`lower(a.name)`,
  type: 'text',
  value: (row: AssetRow) => row.name.toLowerCase(),
} as const
const byLastSeen = { by: seenMs, type: 'bigint', value: (row: AssetRow) => row.seen_ms } as const
const byFirstSeen = { by: firstSeenMs, type: 'bigint', value: (row: AssetRow) => row.first_seen_ms } as const
const sorts = {
  name: { ...byName, direction: 'asc' },
  '-name': { ...byName, direction: 'desc' },
  lastSeenAt: { ...byLastSeen, direction: 'asc' },
  '-lastSeenAt': { ...byLastSeen, direction: 'desc' },
  firstSeenAt: { ...byFirstSeen, direction: 'asc' },
  '-firstSeenAt': { ...byFirstSeen, direction: 'desc' },
} as const

const header = [...importColumns, ...exportOnlyColumns]

function exportRow(asset: Asset): string[] {
  const cells: Record<(typeof header)[number], string> = {
    hostname: asset.name,
    kind: asset.kind,
    os: asset.guestOs ?? '',
    addresses: asset.addresses.join(' '),
    macs: asset.macs.join(' '),
    uuid: asset.uuid ?? '',
    labels: asset.labels.join(';'),
    platform: asset.platform.name,
    cluster: asset.cluster?.name ?? '',
    host: asset.host?.name ?? '',
    power: asset.power,
    datastores: asset.datastores.join(';'),
    parent: asset.parent?.name ?? '',
    protection: asset.machine?.protection ?? '',
    machine_id: asset.machine?.id ?? '',
    asset_id: asset.id,
    last_seen: asset.lastSeenAt,
  }
  return header.map((name) => cells[name])
}

/** Assets as people look at them: lists, one with its history, labels, export. */
export function createAssets({ db, live, clock }: Core) {
  async function page(
    query: AssetFilter & { cursor?: string | undefined; limit: number; sort: keyof typeof sorts },
  ) {
    const { value, ...sort } = sorts[query.sort]
    return await listPage<AssetRow, Asset>(db, {
      cursor: query.cursor,
      limit: query.limit,
      select: assetColumns,
      from: assetSource,
      where: assetWhere(query),
      sort: { ...sort, id: sql`a.id` },
      position: (row) => [value(row), row.id],
      toItem: toAsset,
    })
  }

  async function detail(id: string): Promise<AssetDetail> {
    const { rows } =
      await sql<AssetRow>`select ${assetColumns} from ${assetSource} where a.id = ${id}`.execute(db)
    const row = rows[0]
    if (row === undefined) throw new AppError('not_found', { kind: 'asset', id })
    const placements = await sql<{
      host_id: string
      host_name: string
      from_at: Date
      to_at: Date | null
      cause: Placement['cause']
    }>`select p.host_id, h.name as host_name, p.from_at, p.to_at, p.cause from placement p join platform_host h on h.id = p.host_id
      where p.asset_id = ${id} order by p.from_at desc, p.id desc limit ${shownPlacements}`.execute(db)
    const children = await sql<{
      id: string
      name: string
      kind: AssetDetail['children'][number]['kind']
      evidence: string | null
      total: number
    }>`select id, name, parent_kind as kind, parent_evidence as evidence, count(*) over () as total from asset
      where platform_id = ${row.platform_id} and parent_ref = ${row.ref} and gone_at is null order by lower(name), id limit ${shownChildren}`.execute(
      db,
    )
    const issues =
      await sql<IssueRow>`select ${issueColumns} from inventory_issue i where i.asset_ids @> array[${id}::uuid] and i.state <> 'resolved'
      order by i.last_at desc`.execute(db)
    return {
      ...toAsset(row),
      placements: placements.rows.map(({ host_id, host_name, from_at, to_at, cause }) => ({
        host: { id: host_id, name: host_name },
        from: from_at.toISOString(),
        to: to_at?.toISOString() ?? null,
        cause,
      })),
      children: children.rows.map(({ id: childId, name, kind, evidence }) => ({
        id: childId,
        name,
        kind,
        evidence: evidence ?? '',
      })),
      childCount: children.rows[0]?.total ?? 0,
      issues: issues.rows.map(toIssue),
    }
  }

  return {
    handlers: {
      listAssets: async ({ query }) => await page(query),
      exportAssets: async ({ query }) => {
        let csv = formatCsv([header])
        let cursor: string | undefined
        do {
          const { items, nextCursor } = await page({ ...query, cursor, limit: exportPage, sort: 'name' })
          csv += formatCsv(items.map(exportRow))
          cursor = nextCursor ?? undefined
        } while (cursor !== undefined)
        const day = new Date(clock.nowMs()).toISOString().slice(0, 10)
        return { fileName: `ringwall-assets-${day}.csv`, csv }
      },
      getAsset: async ({ params }) => ({ asset: await detail(params.id) }),
      labelAssets: async ({ body }, context) => {
        const { rows } = await sql`update asset set labels = array(
            select distinct label from unnest(labels || ${body.add}::text[]) as label where not label = any(${body.remove}::text[]) order by label)
          where id in (select id from asset where id = any(${body.assetIds}::uuid[]) order by platform_id, ref for update) returning id`.execute(
          db,
        )
        context.audit({
          objectKind: 'asset',
          details: { assets: rows.length, add: body.add, remove: body.remove },
        })
        live.publish({ type: 'changed', object: 'asset', id: null })
        return { changed: rows.length }
      },
      listAssetLabels: async () => {
        const { rows } = await sql<{
          label: string
          count: number
        }>`select label, count(*) as count from asset, unnest(labels) as label
          where gone_at is null group by label order by count desc, label limit 500`.execute(db)
        return { labels: rows }
      },
    } satisfies SliceParts['handlers'],
  }
}
