import type { InventoryIssue } from '@ringwall/contracts'
import { normaliseMac, normaliseUuid, swapUuid } from '@ringwall/platforms'

/** What identifies a machine, as an agent or a platform tells it. */
export type Identity = { id: string; uuid: string | null; macs: string[]; addresses: string[] }
export type Join = { assetId: string; machineId: string; evidence: string }
export type Issue = {
  kind: InventoryIssue['kind']
  value: string
  assetIds: string[]
  machineIds: string[]
}

/** Uuids that mainboards carry by the thousand (public lists of placeholder SMBIOS uuids). */
const placeholderUuids = new Set([
  '03000200-0400-0500-0006-000700080009',
  '00020003-0004-0005-0006-000700080009',
  '12345678-1234-5678-90ab-cddeefaabbcc',
])
/** Every machine has these: loopback, link-local, and bridges that container engines make. */
const commonAddress = /^(127\.|0\.|169\.254\.|::1$|fe80:|172\.17\.0\.1$|192\.168\.122\.1$)/i
const commonMac = /^(02:42:|ff:ff:ff:ff:ff:ff)/

/** An identity that can be compared: normalised, and without what tells nothing. */
export function cleanIdentity<T extends Identity>(identity: T): T {
  const uuid = normaliseUuid(identity.uuid)
  const macs = identity.macs.map((mac) => normaliseMac(mac) ?? '')
  const addresses = identity.addresses.map((address) => address.toLowerCase().replace(/[/%].*$/, ''))
  return {
    ...identity,
    uuid: uuid === null || placeholderUuids.has(uuid) ? null : uuid,
    macs: distinct(macs.filter((mac) => mac !== '' && !commonMac.test(mac))),
    addresses: distinct(addresses.filter((address) => address !== '' && !commonAddress.test(address))),
  }
}

function distinct(items: string[]): string[] {
  return items.length < 2 ? items : [...new Set(items)].sort()
}

type Level = 'uuid' | 'mac' | 'address'
type Pair = { asset: Identity; machine: Identity; score: number; evidence: string; value: string }

const overlap = (a: string[], b: string[]) => a.filter((item) => b.includes(item))
const sameUuid = (asset: Identity, machine: Identity) =>
  asset.uuid !== null &&
  machine.uuid !== null &&
  (asset.uuid === machine.uuid || asset.uuid === swapUuid(machine.uuid))

/** How well two identities fit at a level; undefined where they do not, or where stronger evidence speaks against it. */
function pairOf(level: Level, asset: Identity, machine: Identity): Pair | undefined {
  const macs = overlap(asset.macs, machine.macs)
  const addresses = overlap(asset.addresses, machine.addresses)
  const detail = macs.length * 1000 + addresses.length
  if (level === 'uuid') {
    if (!sameUuid(asset, machine)) return undefined
    const order = asset.uuid === machine.uuid ? '' : ' (other byte order)'
    return { asset, machine, score: detail, evidence: `uuid ${asset.uuid}${order}`, value: asset.uuid ?? '' }
  }
  if (asset.uuid !== null && machine.uuid !== null && !sameUuid(asset, machine)) return undefined
  if (level === 'mac') {
    if (macs.length === 0) return undefined
    return { asset, machine, score: detail, evidence: `mac ${macs.join(', ')}`, value: macs[0] ?? '' }
  }
  if (addresses.length === 0 || (asset.macs.length > 0 && machine.macs.length > 0)) return undefined
  const evidence = `address ${addresses.join(', ')}`
  return { asset, machine, score: addresses.length, evidence, value: addresses[0] ?? '' }
}

function keysOf(level: Level, identity: Identity): string[] {
  if (level === 'uuid') return identity.uuid === null ? [] : [identity.uuid]
  return level === 'mac' ? identity.macs : identity.addresses
}

function indexBy(level: Level, identities: Iterable<Identity>): Map<string, Identity[]> {
  const index = new Map<string, Identity[]>()
  for (const identity of identities)
    for (const key of keysOf(level, identity)) {
      const list = index.get(key)
      if (list === undefined) index.set(key, [identity])
      else list.push(identity)
    }
  return index
}

/** More candidates than this for one machine tell nothing; the first ones show the issue. */
const maxCandidates = 100

function pairsAt(level: Level, assets: Map<string, Identity>, machines: Map<string, Identity>): Pair[] {
  const index = indexBy(level, assets.values())
  const pairs: Pair[] = []
  for (const machine of machines.values()) {
    const keys = keysOf(level, machine).flatMap((key) => (level === 'uuid' ? [key, swapUuid(key)] : [key]))
    const candidates = new Set(keys.flatMap((key) => (index.get(key) ?? []).slice(0, maxCandidates)))
    for (const asset of candidates) {
      const pair = pairOf(level, asset, machine)
      if (pair !== undefined) pairs.push(pair)
    }
  }
  return pairs
}

/** The pairs of highest score for each side. */
function bestBy(pairs: Pair[], side: 'asset' | 'machine'): Map<string, Pair[]> {
  const best = new Map<string, Pair[]>()
  for (const pair of pairs) {
    const current = best.get(pair[side].id)
    if (current === undefined || (current[0]?.score ?? 0) < pair.score) best.set(pair[side].id, [pair])
    else if (current[0]?.score === pair.score) current.push(pair)
  }
  return best
}

/** Joins each pair whose two sides have no better and no equal match; again, until none is left that became clear by the others. */
function joinClear(pairs: Pair[]): { joins: Join[]; left: Pair[] } {
  const joins: Join[] = []
  let left = pairs
  for (;;) {
    const byAsset = bestBy(left, 'asset')
    const clear = [...bestBy(left, 'machine').values()].flatMap(([pair, ...ties]) => {
      const [back, ...backTies] = byAsset.get(pair?.asset.id ?? '') ?? []
      return pair !== undefined && pair === back && ties.length + backTies.length === 0 ? [pair] : []
    })
    if (clear.length === 0) return { joins, left }
    joins.push(
      ...clear.map(({ asset, machine, evidence }) => ({
        assetId: asset.id,
        machineId: machine.id,
        evidence,
      })),
    )
    const taken = new Set(clear.flatMap(({ asset, machine }) => [asset.id, machine.id]))
    left = left.filter(({ asset, machine }) => !taken.has(asset.id) && !taken.has(machine.id))
  }
}

/** One issue per value that does not tell its machines or assets apart. */
function unclear(pairs: Pair[]): Issue[] {
  const ties = [
    ...[...bestBy(pairs, 'machine').values()].map((tied) => ({ kind: 'join_several' as const, tied })),
    ...[...bestBy(pairs, 'asset').values()].map((tied) => ({ kind: 'join_ambiguous' as const, tied })),
  ].filter(({ tied }) => tied.length > 1)
  const byValue = Map.groupBy(ties, ({ tied }) => tied.map(({ value }) => value).sort()[0] ?? '')
  return [...byValue].map(([value, group]) => {
    const members = group.flatMap(({ tied }) => tied)
    return {
      kind: group[0]?.kind ?? 'join_several',
      value,
      assetIds: [...new Set(members.map(({ asset }) => asset.id))].sort(),
      machineIds: [...new Set(members.map(({ machine }) => machine.id))].sort(),
    }
  })
}

/**
 * Joins agents and assets by evidence: SMBIOS uuid in either byte order, then MACs, then addresses. A pair is joined when each is the only best
 * match of the other, where equal uuids are told apart by MACs and addresses. What stays unclear is an issue, is not joined, and is not tried
 * with weaker evidence. The order of the input plays no part. All of them are clean (`cleanIdentity`).
 */
export function matchIdentities(
  assetList: Identity[],
  machineList: Identity[],
): { joins: Join[]; issues: Issue[] } {
  const assets = new Map(assetList.map((asset) => [asset.id, asset]))
  const machines = new Map(machineList.map((machine) => [machine.id, machine]))
  const result: { joins: Join[]; issues: Issue[] } = { joins: [], issues: [] }
  for (const level of ['uuid', 'mac', 'address'] as const) {
    const { joins, left } = joinClear(pairsAt(level, assets, machines))
    const issues = unclear(left)
    result.joins.push(...joins)
    result.issues.push(...issues)
    for (const id of [...joins.map(({ assetId }) => assetId), ...issues.flatMap(({ assetIds }) => assetIds)])
      assets.delete(id)
    for (const id of [
      ...joins.map(({ machineId }) => machineId),
      ...issues.flatMap(({ machineIds }) => machineIds),
    ])
      machines.delete(id)
  }
  return result
}

/** Clean assets that share a uuid or a MAC. MACs that say no more than the uuids did are left out. */
export function duplicateIdentities(assets: Identity[]): Issue[] {
  const told = new Set<string>()
  const groups = (level: 'uuid' | 'mac', kind: Issue['kind']) =>
    [...indexBy(level, assets)].flatMap(([value, members]): Issue[] => {
      const assetIds = members.map(({ id }) => id).sort()
      const key = assetIds.join()
      if (assetIds.length < 2 || told.has(key)) return []
      told.add(key)
      return [{ kind, value, assetIds, machineIds: [] }]
    })
  return [...groups('uuid', 'duplicate_uuid'), ...groups('mac', 'duplicate_mac')]
}
