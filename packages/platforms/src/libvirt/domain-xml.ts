import { AppError } from '@ringwall/contracts'
import { normaliseMac, normaliseUuid } from '../normalise.ts'
import { childOf, childrenOf, documentBudget, parseXml, textOf, type XmlElement } from '../xml.ts'

export type Disk = {
  /** Where the content lies: a path, `pool/volume`, or `protocol:name` of a network disk. */
  source: string
  /** The directory of a file, the pool, or `protocol:pool`. */
  datastore: string
  /** The chain of backing files, nearest first. Empty for a disk that is none's copy, and where the XML leaves it out. */
  backing: string[]
}
export type DomainDescription = {
  /** Of libvirt: lower case with dashes. */
  uuid: string
  name: string
  /** What the guest sees: that of `sysinfo` where SMBIOS is taken from there, else the domain's own. */
  smbiosUuid: string | null
  macs: string[]
  disks: Disk[]
  /** The libosinfo id that the tool which made the domain left in its metadata. */
  guestOs: string | null
}

/** Longer chains are not followed; QEMU itself warns long before. */
const maxBackingDepth = 50

/** The XML of a domain with hundreds of disks stays far below this; what passes it is not a domain. */
const budget = { ...documentBudget, maxElements: 50_000 }

function read(xml: string): XmlElement {
  return parseXml(
    xml,
    (problems, cause) => new AppError('message_invalid', { type: 'xml', problems }, { cause }),
    budget,
  )
}

/** What a domain's XML (libvirt.org/formatdomain.html) says. Throws message_invalid. */
export function parseDomainXml(xml: string): DomainDescription {
  const domain = read(xml)
  const uuid = normaliseUuid(textOf(domain, 'uuid'))
  const name = textOf(domain, 'name')
  if (domain.name !== 'domain' || uuid === null || name === null)
    throw new AppError('message_invalid', { type: 'domain', problems: 'not a domain with a name and a uuid' })
  const macs = childrenOf(domain, 'devices', 'interface', 'mac').flatMap(
    ({ attributes }) => normaliseMac(attributes.address) ?? [],
  )
  // Its strings are slices of the XML and would keep all of it in memory; a clone's are not.
  return structuredClone({
    uuid,
    name,
    smbiosUuid: sysinfoUuid(domain) ?? uuid,
    macs: [...new Set(macs)],
    disks: childrenOf(domain, 'devices', 'disk').flatMap(parseDisk),
    guestOs: guestOsOf(domain),
  })
}

function sysinfoUuid(domain: XmlElement): string | null {
  if (childOf(domain, 'os', 'smbios')?.attributes.mode !== 'sysinfo') return null
  const entry = childrenOf(domain, 'sysinfo', 'system', 'entry').find(
    ({ attributes }) => attributes.name === 'uuid',
  )
  return normaliseUuid(entry?.text)
}

function guestOsOf(domain: XmlElement): string | null {
  return childOf(domain, 'metadata', 'libosinfo', 'os')?.attributes.id ?? null
}

function parseDisk(disk: XmlElement): Disk[] {
  // A CD-ROM or a floppy is put into many machines: it tells neither where one lives nor where it came from.
  const device = disk.attributes.device ?? 'disk'
  const place = placeOf(childOf(disk, 'source'))
  if (place === null || (device !== 'disk' && device !== 'lun')) return []
  const backing: string[] = []
  let next = childOf(disk, 'backingStore')
  while (next !== undefined && backing.length < maxBackingDepth) {
    const source = placeOf(childOf(next, 'source'))?.source
    if (source !== undefined) backing.push(source)
    next = childOf(next, 'backingStore')
  }
  return [{ ...place, backing }]
}

function placeOf(source: XmlElement | undefined): { source: string; datastore: string } | null {
  const { file, dev, dir, pool, volume, protocol, name = '' } = source?.attributes ?? {}
  const path = file ?? dev ?? dir
  if (path !== undefined) return { source: path, datastore: folderOf(path) }
  if (pool !== undefined) return { source: `${pool}/${volume ?? ''}`, datastore: pool }
  if (protocol !== undefined)
    return { source: `${protocol}:${name}`, datastore: `${protocol}:${name.split('/')[0] ?? ''}` }
  return null
}

function folderOf(path: string): string {
  const end = path.lastIndexOf('/')
  return end <= 0 ? '/' : path.slice(0, end)
}

/** `host/uuid` of capabilities XML (libvirt.org/formatcaps.html); null where there is none. Throws message_invalid. */
export function parseHostUuid(capabilitiesXml: string): string | null {
  return normaliseUuid(textOf(read(capabilitiesXml), 'host', 'uuid'))
}
