import type { MachineRecord, ParentRecord } from '../types.ts'
import type { DomainDescription } from './domain-xml.ts'
import type { Placement } from './sightings.ts'

/** Which domains use a file, pool volume or network image as their own disk. */
export type DiskOwners = Map<string, DomainDescription[]>

export function diskOwners(descriptions: Iterable<DomainDescription>): DiskOwners {
  const owners: DiskOwners = new Map()
  for (const description of descriptions)
    for (const { source } of description.disks)
      owners.set(source, [...(owners.get(source) ?? []), description])
  return owners
}

/**
 * libvirt has no templates and no clones, but a disk that is backed by another one is a linked copy of it. The parent is the domain whose disk
 * the nearest backing file is, else only that file is known.
 */
function parentOf(description: DomainDescription, owners: DiskOwners): ParentRecord | null {
  const copies = description.disks.filter(({ backing }) => backing.length > 0)
  for (const { source, backing } of copies)
    for (const file of backing) {
      const owner = owners.get(file)?.find(({ uuid }) => uuid !== description.uuid)
      if (owner === undefined) continue
      const evidence = `disk ${source} backed by ${file}`
      return { ref: owner.uuid, name: owner.name, kind: 'linked', evidence }
    }
  const [first] = copies
  const nearest = first?.backing[0]
  if (first === undefined || nearest === undefined) return null
  return { ref: null, name: nearest, kind: 'linked', evidence: `disk ${first.source} backed by ${nearest}` }
}

/** A domain as the center knows it; null while nobody has described it. */
export function machineRecord(
  uuid: string,
  placement: Placement<DomainDescription>,
  owners: DiskOwners,
): MachineRecord | null {
  const { description, hostRef, migratingToRef, power } = placement
  if (description === null) return null
  return {
    ref: uuid,
    name: description.name,
    isTemplate: false,
    hostRef,
    migratingToRef,
    clusterRef: null,
    power,
    uuid: description.smbiosUuid,
    macs: description.macs,
    addresses: [],
    guestOs: description.guestOs,
    datastores: [...new Set(description.disks.map(({ datastore }) => datastore))],
    parent: parentOf(description, owners),
  }
}
