import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Inventory } from '../types.ts'
import { emptyServer, startSoapServer } from './testing/soap-server.ts'

const repository = join(import.meta.dirname, '../../../..')
const data = process.env.RINGWALL_SHARED_DATA ?? join(repository, '../shared/data')
const folder = join(data, 'connectors/vsphere')
const isThere = existsSync(folder)
if (!isThere) process.stderr.write(`skipped: the recording of a vCenter is not in ${folder}\n`)

const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const readPage = (number: number) =>
  gunzipSync(readFileSync(join(folder, `WaitForUpdatesEx-${number}.response.xml.gz`))).toString()

describe.skipIf(!isThere)('the recording of a vCenter 5.5', () => {
  it('is read over both of its pages', async () => {
    const versions: (string | undefined)[] = []
    const server = await startSoapServer({
      ...emptyServer,
      RetrieveServiceContent: () => ({ xml: read('RetrieveServiceContent.response.xml') }),
      CreateFilter: () => ({ xml: read('CreateFilter.response.xml') }),
      WaitForUpdatesEx: (request) => {
        const version = /<version>([^<]*)</.exec(request)?.[1]
        versions.push(version)
        if (version === '') return { xml: readPage(1) }
        return version === '0_1' ? { xml: readPage(2) } : { response: '' }
      },
    })
    try {
      const inventory = await server.connector.list(new AbortController().signal)
      expect(versions).toEqual(['', '0_1'])
      expectRecorded(inventory)
    } finally {
      await server.stop()
    }
  })
})

function expectRecorded({ clusters, hosts, machines }: Inventory): void {
  expect(clusters.map(({ name }) => name).sort()).toEqual(['DC0_C0', 'DC0_C1', 'DC1_C0', 'DC1_C1'])
  // Four hosts are on the first page, which is marked as truncated, and twelve on the second.
  expect(hosts).toHaveLength(16)
  expect(machines).toHaveLength(64)
  expect(new Set(machines.map(({ ref }) => ref)).size).toBe(64)
  const hostRefs = new Set(hosts.map(({ ref }) => ref))
  const clusterRefs = new Set(clusters.map(({ ref }) => ref))
  for (const host of hosts) {
    expect(clusterRefs).toContain(host.clusterRef)
    expect(host).toMatchObject({ state: 'up', version: '5.0.0' })
  }
  for (const machine of machines) {
    expect(hostRefs).toContain(machine.hostRef)
    expect(machine.clusterRef).toBe(hosts.find(({ ref }) => ref === machine.hostRef)?.clusterRef)
  }
  expect(machines.find(({ ref }) => ref === 'vm-48')).toEqual({
    ref: 'vm-48',
    name: 'DC0_C1_RP0_VM4',
    isTemplate: false,
    hostRef: 'host-39',
    migratingToRef: null,
    clusterRef: 'domain-c37',
    power: 'on',
    uuid: '420fc00a-e6da-98ca-ec29-4e88b6633a3c',
    macs: ['00:50:56:8f:fe:39'],
    addresses: ['172.16.1.29'],
    guestOs: 'Microsoft Windows Server 2003 Standard (32-bit)',
    datastores: ['GlobalDS_0'],
    parent: null,
  })
}
