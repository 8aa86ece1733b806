import { describe, expect, it } from 'vitest'
import type { DomainDescription } from './domain-xml.ts'
import { diskOwners, machineRecord } from './machines.ts'

const description = (name: string, source: string, backing: string[] = []): DomainDescription => ({
  uuid: `uuid-${name}`,
  name,
  smbiosUuid: `uuid-${name}`,
  macs: [],
  disks: [{ source, datastore: '/images', backing }],
  guestOs: null,
})
const placed = (of: DomainDescription | null) => ({
  hostRef: 'a',
  migratingToRef: null,
  power: 'on' as const,
  description: of,
})

describe('machine records', () => {
  const golden = description('golden', '/images/golden.qcow2')
  const clone = description('clone', '/images/clone.qcow2', ['/images/golden.qcow2'])
  const snapshotted = description('snap', '/images/snap.qcow2', [
    '/images/snap-0.qcow2',
    '/images/golden.qcow2',
  ])
  const orphan = description('orphan', '/images/orphan.qcow2', ['/srv/base.img'])
  const owners = diskOwners([golden, clone, snapshotted, orphan])
  const parentOf = (of: DomainDescription) => machineRecord(of.uuid, placed(of), owners)?.parent

  it('finds the machine whose disk is behind a copy', () => {
    expect(parentOf(golden)).toBeNull()
    expect(parentOf(clone)).toEqual({
      ref: 'uuid-golden',
      name: 'golden',
      kind: 'linked',
      evidence: 'disk /images/clone.qcow2 backed by /images/golden.qcow2',
    })
    expect(parentOf(snapshotted)).toMatchObject({ ref: 'uuid-golden' })
  })

  it('names the nearest file where no machine has it', () => {
    expect(parentOf(orphan)).toEqual({
      ref: null,
      name: '/srv/base.img',
      kind: 'linked',
      evidence: 'disk /images/orphan.qcow2 backed by /srv/base.img',
    })
  })

  it('is no record before somebody described it', () => {
    expect(machineRecord('x', placed(null), owners)).toBeNull()
    expect(machineRecord('uuid-clone', placed(clone), owners)).toMatchObject({
      ref: 'uuid-clone',
      hostRef: 'a',
      isTemplate: false,
      datastores: ['/images'],
    })
  })
})
