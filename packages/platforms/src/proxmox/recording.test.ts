/** The connector against the recorded answers of a real Proxmox VE 9.1 cluster of two nodes. */
import { describe, expect, it } from 'vitest'
import { capture } from '../capture.ts'
import { startReplayServer } from '../simulators/replay.ts'
import { expectNoDuplicates, machineNamed, never, openConnector, optionsFor } from '../testing/connect.ts'
import { recording } from '../testing/shared-data.ts'
import { proxmox } from './proxmox.ts'

const recorded = recording('proxmox/refresher.json') as
  | Record<string, { status: number; body: unknown }>
  | undefined

const password = { kind: 'password', username: 'root@pam', password: 'replayed' } as const

function exchangesOf(answers: Record<string, { status: number; body: unknown }>) {
  return Object.entries(answers).map(([line, { status, body }]) => ({
    request: line.replace(' /', ' /api2/json/'),
    status,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  }))
}

describe.skipIf(recorded === undefined)('Proxmox VE against a recording', () => {
  it('reads every guest with its place, templates, the linked clone and the duplicated identity', async () => {
    const exchanges = exchangesOf(recorded ?? {})
    expect(exchanges).toHaveLength(75)
    // Whoever recorded it did not ask for the container; without its configuration no list is complete.
    const request = 'GET /api2/json/nodes/vmpvetest/lxc/913/config'
    const container = { request, status: 200, body: '{"data":{"hostname":"cttest1"}}' }
    const server = await startReplayServer({ kind: 'proxmox', exchanges: [...exchanges, container] })
    await using connector = openConnector(proxmox, server, password)
    const inventory = await connector.list(never)
    await server.close()

    expectNoDuplicates(inventory)
    expect(inventory.clusters).toEqual([{ ref: 'cluster', name: 'pvetest' }])
    expect(
      inventory.hosts.map(({ name, address, state, version }) => [name, address, state, version]),
    ).toEqual([
      ['vmpvetest', '192.0.2.202', 'up', '9.1.5'],
      ['vmpvetest2', '192.0.2.251', 'up', '9.1.5'],
    ])
    expect(inventory.machines).toHaveLength(21)
    const templates = inventory.machines.filter(({ isTemplate }) => isTemplate).map(({ ref }) => ref)
    const expected = Array.from({ length: 13 }, (_, index) => `qemu/${900 + index}`)
    expect(templates.sort()).toEqual([...expected, 'qemu/963'].sort())
    expect(
      inventory.machines
        .filter(({ hostRef }) => hostRef === 'node/vmpvetest2')
        .map(({ ref }) => ref)
        .sort(),
    ).toEqual(['qemu/101', 'qemu/105', 'qemu/106', 'qemu/963'])
    expect(inventory.machines.filter(({ power }) => power === 'on').map(({ ref }) => ref)).toEqual([
      'qemu/100',
      'qemu/104',
    ])

    expect(machineNamed(inventory, 'qemu/105').parent).toEqual({
      ref: 'qemu/963',
      name: 'windows-server-2025-2025-11-17T19-55-23Z-00000000',
      kind: 'linked',
      evidence: 'disk local-zfs:base-963-disk-0/vm-105-disk-0',
    })
    // A full copy: no task is left that tells of which of the two it was made.
    expect(machineNamed(inventory, 'qemu/106').parent).toMatchObject({
      ref: null,
      kind: 'unknown',
      evidence: 'meta ctime=1763409392 as in qemu/903, qemu/963',
    })
    const twins = ['qemu/903', 'qemu/963'].map((ref) => machineNamed(inventory, ref))
    expect(new Set(twins.map(({ uuid }) => uuid))).toEqual(new Set(['f99c0a2d-0b93-4795-92bc-6efa08506b25']))
    expect(twins.map(({ macs }) => macs)).toEqual([['5e:8d:fb:4f:b5:60'], ['5e:8d:fb:4f:b5:60']])

    expect(machineNamed(inventory, 'qemu/100')).toMatchObject({
      name: 'vmpvevm1',
      uuid: '945505a5-1a05-4e36-b571-5dcc38e45204',
      macs: ['bc:24:11:e2:9f:14'],
      // Not the loopback, and not the bridge of its containers.
      addresses: ['192.0.2.253'],
      datastores: ['local-lvm'],
    })
    expect(machineNamed(inventory, 'qemu/110').macs).toEqual(['bc:24:11:f4:67:91', 'bc:24:11:63:61:75'])
    expect(machineNamed(inventory, 'lxc/913')).toMatchObject({ name: 'cttest1', power: 'off', uuid: null })
  })

  it('is captured so that it reads the same and names nothing of its owner', async () => {
    const request = 'GET /api2/json/nodes/vmpvetest/lxc/913/config'
    const container = { request, status: 200, body: '{"data":{"hostname":"cttest1"}}' }
    // The recorder asked the nodes for their versions only.
    const version = { request: 'GET /api2/json/version', status: 200, body: '{"data":{"version":"9.1.5"}}' }
    const exchanges = [...exchangesOf(recorded ?? {}), container, version]
    const real = await startReplayServer({ kind: 'proxmox', exchanges })
    const document = await capture(proxmox, optionsFor(real, password), never)
    await real.close()
    expect(document.failure).toBeNull()
    expect(document.counts).toEqual({ clusters: 1, hosts: 2, machines: 21 })
    for (const word of [
      'pvetest',
      'vmpvevm',
      'win2025',
      'cttest',
      'local-lvm',
      '192.0.2',
      '9F:14',
      '9f:14',
      'f99c0a2d',
      '28861f12',
    ])
      expect(JSON.stringify(document).includes(word), word).toBe(false)
    const replayed = await startReplayServer(document)
    await using connector = openConnector(proxmox, replayed, password)
    const inventory = await connector.list(never)
    await replayed.close()
    expect(inventory.machines).toHaveLength(21)
    expect(machineNamed(inventory, 'qemu/105').parent).toMatchObject({ ref: 'qemu/963', kind: 'linked' })
    expect(machineNamed(inventory, 'qemu/903').uuid).toBe(machineNamed(inventory, 'qemu/963').uuid)
  })

  it('fails as a whole when one configuration is missing', async () => {
    const server = await startReplayServer({ kind: 'proxmox', exchanges: exchangesOf(recorded ?? {}) })
    await using connector = openConnector(proxmox, server, password)
    await expect(connector.list(never)).rejects.toMatchObject({ code: 'platform_answer_invalid' })
    await server.close()
  })
})
