import type { Placement } from '@ringwall/contracts'
import type { MachineRecord } from '@ringwall/platforms'
import { unnest } from '@ringwall/postgres'
import { uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Machines, Tx } from '../../../core/core.ts'
import type { PlatformRef } from './apply-nodes.ts'
import { type AssetValues, type Places, toAssetValues } from './records.ts'

type KnownRow = AssetValues & {
  id: string
  gone_at: Date | null
  machine_id: string | null
  open_host_id: string | null
  was_placed: boolean
}
type Move = {
  assetId: string
  machineId: string | null
  fromId: string | null
  toId: string | null
  cause: Placement['cause']
  at: Date
}
export type AppliedMachines = {
  added: number
  changed: number
  /** What joins depend on is different: uuid, MACs, addresses, or that it is there. */
  isIdentityChanged: boolean
  /** Joined machines that are on another host now. */
  migratedMachineIds: string[]
  /** Machines whose asset is not what it was: its host, its datastores, its parent. */
  changedMachineIds: string[]
}

const columnTypes = {
  id: 'uuid',
  ref: 'text',
  kind: 'text',
  pool: 'text',
  name: 'text',
  host_id: 'uuid',
  migrating_to_id: 'uuid',
  cluster_id: 'uuid',
  power: 'text',
  uuid: 'text',
  macs: 'text',
  addresses: 'text',
  guest_os: 'text',
  os_family: 'text',
  datastores: 'text',
  parent_ref: 'text',
  parent_name: 'text',
  parent_kind: 'text',
  parent_evidence: 'text',
} as const
const lists = ['macs', 'addresses', 'datastores']

async function readKnown(tx: Tx, platformId: string, refs: string[]): Promise<Map<string, KnownRow>> {
  const { rows } = await sql<KnownRow>`select a.*, p.host_id as open_host_id,
      exists (select 1 from placement e where e.asset_id = a.id) as was_placed
    from asset a left join placement p on p.asset_id = a.id and p.to_at is null
    where a.platform_id = ${platformId} and a.ref = any(${refs}::text[])`.execute(tx)
  return new Map(rows.map((row) => [row.ref, row]))
}

function isSame(known: KnownRow, values: AssetValues): boolean {
  return (
    known.gone_at === null &&
    (Object.keys(values) as (keyof AssetValues)[]).every(
      (key) => String(known[key] ?? '') === String(values[key] ?? ''),
    )
  )
}

const identityOf = ({ uuid, macs, addresses, kind }: AssetValues) => [kind, uuid, macs, addresses].join('|')

/** Writes rows that are new or different, by (platform, ref): the same rows again change nothing. */
export async function upsertAssets(
  tx: Tx,
  platformId: string,
  rows: (AssetValues & { id: string })[],
  at: Date,
): Promise<void> {
  if (rows.length === 0) return
  // unnest flattens arrays of arrays; lists travel as lines, which cleaned text does not have.
  const flat = rows.map((row) => ({
    ...row,
    macs: row.macs.join('\n'),
    addresses: row.addresses.join('\n'),
    datastores: row.datastores.join('\n'),
  }))
  const { columns, expression } = unnest(flat, columnTypes)
  const names = sql.raw(columns.join(', '))
  const selected = sql.raw(
    columns
      .map((name) => (lists.includes(name) ? `string_to_array(r.${name}, e'\\n')` : `r.${name}`))
      .join(', '),
  )
  const updates = sql.raw(
    columns
      .filter((name) => name !== 'id' && name !== 'ref')
      .map((name) => `${name} = excluded.${name}`)
      .join(', '),
  )
  await sql`insert into asset (platform_id, first_seen_at, last_seen_at, ${names})
    select ${platformId}::uuid, ${at}::timestamptz, ${at}::timestamptz, ${selected} from (${expression}) as r (${names})
    on conflict (platform_id, ref) do update set ${updates}, last_seen_at = excluded.last_seen_at, gone_at = null`.execute(
    tx,
  )
}

function moveOf(known: KnownRow | undefined, values: AssetValues, id: string, at: Date): Move | undefined {
  const fromId = known?.open_host_id ?? null
  const toId = values.host_id
  if (fromId === toId) return undefined
  const cause =
    fromId === null
      ? known?.was_placed === true
        ? 'started'
        : 'discovered'
      : known?.power === 'on' && values.power === 'on'
        ? 'migrated'
        : 'moved'
  return { assetId: id, machineId: known?.machine_id ?? null, fromId, toId, cause, at }
}

async function writeMoves(
  tx: Tx,
  {
    machines,
    hostNames,
    platform,
  }: { machines: Machines; hostNames: Map<string, string>; platform: PlatformRef },
  moves: Move[],
): Promise<string[]> {
  const closed = moves
    .filter(({ fromId }) => fromId !== null)
    .map(({ assetId, at }) => ({ asset_id: assetId, at }))
  const opened = moves.flatMap(({ assetId, toId, at, cause }) =>
    toId === null ? [] : [{ id: uuidv7(), asset_id: assetId, host_id: toId, from_at: at, cause }],
  )
  if (closed.length > 0) {
    const { expression } = unnest(closed, { asset_id: 'uuid', at: 'timestamptz' })
    await sql`update placement p set to_at = greatest(p.from_at, c.at) from (${expression}) as c (asset_id, at)
      where p.asset_id = c.asset_id and p.to_at is null`.execute(tx)
  }
  if (opened.length > 0) {
    const { expression } = unnest(opened, {
      id: 'uuid',
      asset_id: 'uuid',
      host_id: 'uuid',
      from_at: 'timestamptz',
      cause: 'text',
    })
    await sql`insert into placement (id, asset_id, host_id, from_at, cause) ${expression}`.execute(tx)
  }
  const noted: string[] = []
  for (const { assetId, machineId, fromId, toId, cause } of moves) {
    if (machineId === null || fromId === null || toId === null) continue
    await machines.note(tx, machineId, 'machine.migrated', {
      assetId,
      platform: platform.name,
      cause,
      from: hostNames.get(fromId) ?? '',
      to: hostNames.get(toId) ?? '',
    })
    noted.push(machineId)
  }
  return noted
}

/**
 * Takes in machine records, each ref at most once: upsert, placement history, and one line in the history of a joined machine whose host
 * changed. `timeOf`: when it happened. Writes nothing for what is known already.
 */
export async function applyMachines(
  tx: Tx,
  context: {
    platform: PlatformRef
    machines: Machines
    places: Places & { hostNames: Map<string, string> }
    at: Date
    timeOf?: (ref: string) => Date | undefined
  },
  records: MachineRecord[],
): Promise<AppliedMachines> {
  const { platform, places, at } = context
  const known = await readKnown(
    tx,
    platform.id,
    records.map(({ ref }) => ref),
  )
  const moves: Move[] = []
  const rows: (AssetValues & { id: string })[] = []
  const changedMachineIds: string[] = []
  let added = 0
  let isIdentityChanged = false
  for (const record of records) {
    const before = known.get(record.ref)
    const values = toAssetValues(platform.kind, record, places, before?.open_host_id ?? null)
    const id = before?.id ?? uuidv7()
    const move = moveOf(before, values, id, context.timeOf?.(record.ref) ?? at)
    if (move !== undefined) moves.push(move)
    if (before !== undefined && isSame(before, values)) continue
    const isNew = before === undefined || before.gone_at !== null
    if (isNew) added += 1
    if (isNew || identityOf(before) !== identityOf(values)) isIdentityChanged = true
    rows.push({ ...values, id })
    if (before !== undefined && before.machine_id !== null) changedMachineIds.push(before.machine_id)
  }
  await upsertAssets(tx, platform.id, rows, at)
  const migratedMachineIds = await writeMoves(tx, { ...context, hostNames: places.hostNames }, moves)
  return { added, changed: rows.length - added, isIdentityChanged, migratedMachineIds, changedMachineIds }
}

/** After a complete list: machines that it does not have are gone. Answers how many. */
export async function buryMachines(tx: Tx, platformId: string, refs: string[], at: Date): Promise<number> {
  const { rows } = await sql<{
    id: string
  }>`update asset set gone_at = ${at}, last_seen_at = ${at}, migrating_to_id = null,
      machine_id = null, join_evidence = null
    where platform_id = ${platformId} and gone_at is null
      and not exists (select 1 from unnest(${refs}::text[]) as listed where listed = ref)
    returning id`.execute(tx)
  if (rows.length > 0)
    await sql`update placement set to_at = greatest(from_at, ${at}) where to_at is null and asset_id = any(${rows.map(({ id }) => id)}::uuid[])`.execute(
      tx,
    )
  return rows.length
}
