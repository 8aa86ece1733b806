import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ParentRecord } from '../types.ts'
import { createXmlReader } from '../xml.ts'
import { createMirror } from './mirror.ts'
import { type ObjectUpdate, toUpdate } from './property-collector.ts'

const parents = new Map<string, ParentRecord>()

function updates(): ObjectUpdate[] {
  const reader = createXmlReader()
  reader.write(readFileSync(join(import.meta.dirname, 'testdata/updates.xml'), 'utf8'))
  return reader.end().children.map(toUpdate)
}

function filled() {
  const mirror = createMirror({ parentOf: (ref) => parents.get(ref) })
  for (const update of updates()) mirror.apply(update)
  return mirror
}

const value = (text: string, refType?: string) => ({
  name: 'val',
  attributes: refType === undefined ? {} : { type: refType },
  text,
  children: [],
})
const modify = (id: string, path: string, text: string, refType?: string): ObjectUpdate => ({
  kind: 'modify',
  object: { type: 'VirtualMachine', id },
  changes: [{ path, value: value(text, refType) }],
})

describe('the mirror of a vCenter', () => {
  it('makes records of the properties, also of unset and removed ones', () => {
    expect(filled().inventory()).toEqual({
      clusters: [{ ref: 'domain-c7', name: 'prod/a' }],
      hosts: [
        {
          ref: 'host-1',
          name: 'esx1.example.com',
          clusterRef: 'domain-c7',
          address: 'esx1.example.com',
          uuid: 'c2ac5c27-2c72-5d75-9472-fd619e1af669',
          state: 'maintenance',
          version: '8.0.2',
        },
        {
          ref: 'ha-host',
          name: 'localhost',
          clusterRef: null,
          address: null,
          uuid: null,
          state: 'down',
          version: null,
        },
      ],
      machines: [
        {
          ref: 'vm-10',
          name: 'golden',
          isTemplate: true,
          hostRef: 'host-1',
          migratingToRef: null,
          clusterRef: 'domain-c7',
          power: 'off',
          uuid: '420fc00a-e6da-98ca-ec29-4e88b6633a3c',
          macs: [],
          addresses: [],
          guestOs: null,
          datastores: ['fast'],
          parent: null,
        },
        {
          ref: 'vm-11',
          name: 'web',
          isTemplate: false,
          hostRef: 'host-1',
          migratingToRef: null,
          clusterRef: 'domain-c7',
          power: 'on',
          uuid: '420fa061-60b4-8dd4-980a-b4870aea9ae7',
          macs: ['00:50:56:8f:00:01', '00:50:56:8f:00:02'],
          addresses: ['10.0.0.5', 'fe80::1', '172.17.0.1'],
          guestOs: 'Debian GNU/Linux 12 (64-bit)',
          datastores: ['slow', 'bulk'],
          parent: { ref: 'vm-10', name: null, kind: 'linked', evidence: 'disk [fast] golden/golden.vmdk' },
        },
      ],
    })
  })

  it('tells differences only, once, and nothing for objects that enter again', () => {
    const mirror = filled()
    mirror.inventory()
    for (const update of updates()) mirror.apply(update)
    expect(mirror.takeChanges()).toEqual([])
    expect(mirror.takeNewcomers()).toEqual([])

    mirror.apply(modify('vm-11', 'runtime.host', 'host-2', 'HostSystem'))
    mirror.apply(modify('vm-11', 'runtime.connectionState', 'disconnected'))
    expect(mirror.takeChanges()).toMatchObject([
      { type: 'machine', machine: { ref: 'vm-11', hostRef: 'host-2', clusterRef: null, power: 'unknown' } },
    ])
    expect(mirror.takeChanges()).toEqual([])

    mirror.apply({ kind: 'leave', object: { type: 'VirtualMachine', id: 'vm-11' }, changes: [] })
    expect(mirror.takeChanges()).toEqual([{ type: 'gone', ref: 'vm-11' }])
    expect(mirror.takeChanges()).toEqual([])
  })

  it('makes no machine of a property that was read before the machine entered', () => {
    const mirror = filled()
    mirror.inventory()
    mirror.apply(modify('vm-99', 'config.template', 'true'))
    expect(mirror.takeChanges()).toEqual([])
  })

  it('tells the machines of a host whose cluster changed', () => {
    const mirror = filled()
    mirror.inventory()
    mirror.apply({
      kind: 'modify',
      object: { type: 'HostSystem', id: 'host-1' },
      changes: [{ path: 'parent', value: value('ha-compute-res', 'ComputeResource') }],
    })
    const changes = mirror.takeChanges()
    expect(changes.map((change) => change.type)).toEqual(['host', 'machine', 'machine'])
  })

  it('joins what the event tells with what the disk tells', () => {
    const mirror = filled()
    mirror.inventory()
    parents.set('vm-11', { ref: 'vm-10', name: 'golden', kind: 'full', evidence: 'event VmClonedEvent 7' })
    mirror.touch('vm-11')
    expect(mirror.takeChanges()).toMatchObject([
      {
        machine: {
          parent: {
            ref: 'vm-10',
            name: 'golden',
            kind: 'linked',
            evidence: 'disk [fast] golden/golden.vmdk, event VmClonedEvent 7',
          },
        },
      },
    ])
    parents.clear()
  })
})
