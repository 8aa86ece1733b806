/** The connector against recorded answers of a real engine (RHEV-M 3.6), before and after one live migration. */
import { describe, expect, it } from 'vitest'
import { capture } from '../capture.ts'
import type { Exchange } from '../recorder.ts'
import { startReplayServer } from '../simulators/replay.ts'
import {
  expectNoDuplicates,
  machineNamed,
  never,
  openConnector,
  optionsFor,
  watching,
} from '../testing/connect.ts'
import { recording } from '../testing/shared-data.ts'
import { ovirt } from './ovirt.ts'

const before = recording('ovirt/before-migration.json') as Record<string, string> | undefined
const after = recording('ovirt/after-migration.json') as Record<string, string> | undefined

const moved = '13054ffb-ae62-49e3-9ec7-9ad426f62fae'
const source = '0b4c3cf3-3b51-479a-bd36-ab968151a9a9'
const destination = 'bfb0c0b4-8616-4bbf-9210-9de48892adc6'
const account = { kind: 'password', username: 'admin@internal', password: 'replayed' } as const
const follow = 'follow=nics,reported_devices,disk_attachments.disk'

const get = (path: string, body: string): Exchange => ({
  request: `GET /ovirt-engine/api${path}`,
  status: 200,
  body,
})

/** The recorder asked for some lists without pages, and for no event: one page each, an empty page after it, and no events. */
function exchangesOf(answers: Record<string, string>): Exchange[] {
  const page = (collection: string, number: number) =>
    `/${collection}?search=sortby%20name%20asc%20page%20${number}${collection === 'vms' ? `&${follow}` : ''}`
  return [
    ...['clusters', 'hosts', 'templates', 'vms'].flatMap((collection) => {
      const whole =
        answers[collection] ?? answers[`${collection}?search=sortby%20name%20asc%20page%201`] ?? ''
      return [get(page(collection, 1), whole), get(page(collection, 2), `<${collection}/>`)]
    }),
    ...Object.entries(answers).flatMap(([path, body]) =>
      /\/nics$/.test(path) ? [get(`/${path}`, body)] : [],
    ),
    get('', answers.api ?? ''),
    get('/hosts?max=1', answers['hosts?search=sortby%20name%20asc%20page%201'] ?? ''),
    get('/events?max=1', '<events><event id="7000"/></events>'),
  ]
}

describe.skipIf(before === undefined || after === undefined)('oVirt against recordings', () => {
  it('reads the form of version 3 as a whole', async () => {
    const server = await startReplayServer({ kind: 'ovirt', exchanges: exchangesOf(before ?? {}) })
    await using connector = openConnector(ovirt, server, account)
    expect(await connector.check(never)).toMatchObject({
      product: 'Red Hat Enterprise Virtualization Manager',
      version: '3.6.8-0.1.el6',
      warnings: [],
    })
    const inventory = await connector.list(never)
    await server.close()
    expectNoDuplicates(inventory)
    expect(inventory.clusters).toEqual([{ ref: '00000002-0002-0002-0002-00000000008c', name: 'Default' }])
    expect(inventory.hosts.map(({ ref, state, uuid, version }) => [ref, state, uuid, version])).toEqual([
      [destination, 'up', '4C4C4544-0044-5610-8047-B6C04F38354A', 'vdsm-4.17.37-1.el7ev'],
      [source, 'up', '4C4C4544-0052-5010-8033-B1C04F303332', 'vdsm-4.17.37-1.el7ev'],
    ])
    expect(inventory.machines).toHaveLength(5)
    expect(inventory.machines.filter(({ isTemplate }) => isTemplate).map(({ name }) => name)).toEqual([
      'GlanceTemplate-58c15d2',
    ])
    expect(machineNamed(inventory, moved)).toMatchObject({
      name: 'migrate_test_1',
      hostRef: source,
      power: 'on',
    })
    expect(machineNamed(inventory, 'ccda1fdd-852e-4e7f-939d-5598bc8fcbb3')).toMatchObject({
      hostRef: null,
      power: 'off',
    })
    expect(machineNamed(inventory, '9ada55c8-71b8-4e76-9b5e-d9a3f31f8c84')).toMatchObject({
      hostRef: source,
      macs: ['00:1a:4a:16:01:57'],
      addresses: ['10.35.18.187', 'fe80::21a:4aff:fe16:157', '2620:52:0:2310:21a:4aff:fe16:157'],
      parent: { ref: '749236d0-6320-46d2-bd0a-8a9989bb607a', name: 'GlanceTemplate-58c15d2', kind: 'linked' },
    })
    expect(machineNamed(inventory, '5e61c5a1-c877-4a93-8c3b-01838e073167')).toMatchObject({
      hostRef: destination,
      parent: null,
    })
  })

  it('is captured so that it reads the same and names nothing of its owner', async () => {
    const real = await startReplayServer({ kind: 'ovirt', exchanges: exchangesOf(before ?? {}) })
    const document = await capture(ovirt, optionsFor(real, account), never)
    await real.close()
    expect(document.failure).toBeNull()
    expect(document.counts).toEqual({ clusters: 1, hosts: 2, machines: 5 })
    for (const word of [
      'redhat.com',
      'lilach',
      'pluto',
      'migrate_test',
      'GlanceTemplate',
      '10.35.18',
      '16:01:57',
      '13054ffb',
      'bfb0c0b4',
      '4C4C4544',
    ])
      expect(JSON.stringify(document).includes(word), word).toBe(false)
    const replayed = await startReplayServer(document)
    await using connector = openConnector(ovirt, replayed, account)
    const inventory = await connector.list(never)
    await replayed.close()
    expect(inventory.machines).toHaveLength(5)
    expect(
      inventory.machines.filter(({ hostRef }) => inventory.hosts.some(({ ref }) => ref === hostRef)),
    ).toHaveLength(3)
    expect(inventory.machines.filter(({ parent }) => parent?.kind === 'linked')).toHaveLength(1)
  })

  it('moves the machine when an event points at it', async () => {
    const path = `vms/${moved}`
    const events = `<events><event id="7001"><code>63</code><vm id="${moved}"/></event></events>`
    const server = await startReplayServer({
      kind: 'ovirt',
      exchanges: [
        ...exchangesOf(before ?? {}),
        get('/events?from=7000&max=1000', events),
        get(`/${path}?${follow}`, after?.[path] ?? ''),
      ],
    })
    await using connector = openConnector(ovirt, server, account)
    expect(machineNamed(await connector.list(never), moved).hostRef).toBe(source)
    await using watch = watching(connector)
    expect(await watch.batch()).toMatchObject([
      { type: 'machine', machine: { ref: moved, hostRef: destination, power: 'on', migratingToRef: null } },
    ])
    // The same event again changes nothing.
    expect(await watch.batch()).toEqual([])
    await server.close()
  })
})
