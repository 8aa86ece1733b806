import type { Asset, PlatformKind } from '@ringwall/contracts'
import { type MachineRecord, normaliseMac, normaliseUuid } from '@ringwall/platforms'

const maxTextLength = 1000
const maxItems = 256

/** Text of a platform as the database takes it: no zeros, one line, bounded. */
export function clean(text: string): string
export function clean(text: string | null): string | null
export function clean(text: string | null): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text === null ? null : text.replace(/[\u0000-\u001f]/g, ' ').slice(0, maxTextLength)
}

function cleanList(items: string[]): string[] {
  return [...new Set(items.map((item) => clean(item)))].slice(0, maxItems).sort()
}

/** Linux or Windows, as far as the name that a platform gives a guest system tells. */
export function osFamilyOf(guestOs: string | null): Asset['osFamily'] {
  if (guestOs === null) return null
  if (/windows|^win(\d|_|srv|dows|longhorn|net|xp|vista)|^w(xp|2k)/i.test(guestOs)) return 'windows'
  const linux =
    /linux|ubuntu|debian|centos|rhel|red ?hat|fedora|suse|sles|oracle|alma|rocky|kylin|uos|euler|anolis|alpine|arch|gentoo|amazon|^l2[46]$/i
  return linux.test(guestOs) ? 'linux' : null
}

/** What a platform tells of a machine, as it is stored; places are ids by then. */
export type AssetValues = {
  ref: string
  kind: Asset['kind']
  pool: Asset['pool']
  name: string
  host_id: string | null
  migrating_to_id: string | null
  cluster_id: string | null
  power: Asset['power']
  uuid: string | null
  macs: string[]
  addresses: string[]
  guest_os: string | null
  os_family: Asset['osFamily']
  datastores: string[]
  parent_ref: string | null
  parent_name: string | null
  parent_kind: string | null
  parent_evidence: string | null
}

/** Ids of hosts and clusters by the platform's own names. */
export type Places = { hosts: Map<string, string>; clusters: Map<string, string> }

const idOf = (map: Map<string, string>, ref: string | null) => (ref === null ? null : (map.get(ref) ?? null))

/** A record as it is stored. `knownHostId`: where it was; it stays there while it runs and nothing says where. */
export function toAssetValues(
  platformKind: PlatformKind,
  record: MachineRecord,
  places: Places,
  knownHostId: string | null,
): AssetValues {
  const isCloud = platformKind === 'openstack'
  const told = idOf(places.hosts, record.hostRef)
  const guestOs = clean(record.guestOs)
  return {
    ref: record.ref,
    kind: record.isTemplate ? 'template' : isCloud ? 'cloud' : 'guest',
    pool: isCloud ? 'cloud' : 'virtual',
    name: clean(record.name),
    host_id: told ?? (record.power === 'on' ? knownHostId : null),
    migrating_to_id: idOf(places.hosts, record.migratingToRef),
    cluster_id: idOf(places.clusters, record.clusterRef),
    power: record.power,
    uuid: normaliseUuid(record.uuid),
    macs: cleanList(record.macs.flatMap((mac) => normaliseMac(mac) ?? [])),
    addresses: cleanList(record.addresses),
    guest_os: guestOs,
    os_family: osFamilyOf(guestOs),
    datastores: cleanList(record.datastores),
    parent_ref: record.parent?.ref ?? null,
    parent_name: clean(record.parent?.name ?? null),
    parent_kind: record.parent?.kind ?? null,
    parent_evidence: clean(record.parent?.evidence ?? null),
  }
}

/**
 * One record per machine. In a complete list a machine may stand on two hosts while it migrates: it is where it was known to be, on its
 * way to the other one.
 */
export function mergeDuplicates(
  records: MachineRecord[],
  knownHostRef: (ref: string) => string | undefined,
): MachineRecord[] {
  const byRef = new Map<string, MachineRecord>()
  for (const record of records) {
    const other = byRef.get(record.ref)
    if (other === undefined || other.hostRef === null || record.hostRef === null) {
      byRef.set(record.ref, other === undefined || other.hostRef === null ? record : other)
      continue
    }
    const [source, destination] =
      record.hostRef === knownHostRef(record.ref) ? [record, other] : [other, record]
    byRef.set(record.ref, {
      ...source,
      migratingToRef: destination.hostRef === source.hostRef ? source.migratingToRef : destination.hostRef,
    })
  }
  return [...byRef.values()].sort((a, b) => (a.ref < b.ref ? -1 : 1))
}
