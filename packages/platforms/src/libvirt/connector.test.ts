import { silentLogger, systemClock } from '@ringwall/runtime'
import { afterEach, describe, expect, it } from 'vitest'
import type { Exchange } from '../recorder.ts'
import type { Change, Connector } from '../types.ts'
import { libvirt } from './connector.ts'
import { type FakeDaemon, type FakeDomain, startFakeDaemon } from './testing/fake-daemon.ts'

const never = new AbortController().signal
const uuidA = '00000000-0000-4000-8000-00000000000a'
const uuidB = '00000000-0000-4000-8000-00000000000b'
const on = { state: 1, reason: 1 }
const paused = { state: 3, reason: 2 }
const vm = (state = on): FakeDomain => ({ name: 'vm', uuid: '6f1c2d5e-1111-4222-8333-444455556666', state })
const connectOpen = 1
const listAllDomains = 273
const domainGetXmlDesc = 14

const daemons: FakeDaemon[] = []
const connectors: Connector[] = []
afterEach(async () => {
  for (const connector of connectors.splice(0)) await connector.close()
  for (const daemon of daemons.splice(0)) await daemon.stop()
})

async function daemon(
  hostname: string,
  hostUuid: string,
  options: Pick<Parameters<typeof startFakeDaemon>[0], 'beforeReply' | 'authTypes'> = {},
): Promise<FakeDaemon> {
  const started = await startFakeDaemon({ hostname, hostUuid, ...options })
  daemons.push(started)
  return started
}

function open(addresses: string[], recorded: Exchange[] = []): Connector {
  const connector = libvirt.open({
    address: addresses.join(', '),
    fingerprint: undefined,
    credentials: { kind: 'none' },
    requestsPerSecond: 1000,
    clock: systemClock,
    logger: silentLogger,
    recorder: { record: (exchange) => recorded.push(exchange) },
  })
  connectors.push(connector)
  return connector
}

describe('libvirt connector', () => {
  it('lists several hosts, and records what they answered', async () => {
    const a = await daemon('kvm-a', uuidA)
    const b = await daemon('kvm-b', uuidB)
    a.set(vm())
    const recorded: Exchange[] = []
    const connector = open([a.address, b.address], recorded)
    expect(await connector.check(never)).toEqual({
      product: 'libvirt/KVM',
      version: 'libvirt 9.0.0, QEMU 7.2.0',
      instanceId: null,
      warnings: [],
    })
    const progress: number[] = []
    const { hosts, machines } = await connector.list(never, (objects) => progress.push(objects))
    expect(hosts.map(({ name, ref }) => ({ name, ref }))).toEqual([
      { name: 'kvm-a', ref: uuidA },
      { name: 'kvm-b', ref: uuidB },
    ])
    expect(machines).toMatchObject([{ name: 'vm', hostRef: uuidA, power: 'on' }])
    expect(progress).toEqual([1])
    expect(recorded.map(({ request }) => request)).toContain('DOMAIN_GET_XML_DESC vm')
  })

  it('finds a machine that left one host before it was read, and came to another after that was listed', async () => {
    const b = await daemon('kvm-b', uuidB)
    let hasMoved = false
    const a = await daemon('kvm-a', uuidA, {
      beforeReply: async (procedure) => {
        if (procedure !== listAllDomains || hasMoved) return
        while (!b.heard.includes(listAllDomains)) await new Promise((done) => setTimeout(done, 5))
        hasMoved = true
        b.set(vm())
        b.tell(vm(), 2, 1)
        b.tell(vm(), 4, 1)
        a.domains.clear()
        a.tell(vm(), 5, 3)
      },
    })
    a.set(vm())
    const { machines } = await open([a.address, b.address]).list(never)
    expect(machines).toMatchObject([{ name: 'vm', hostRef: uuidB, power: 'on' }])
  })

  it('yields what events trigger as it was read back', async () => {
    const a = await daemon('kvm-a', uuidA)
    const b = await daemon('kvm-b', uuidB)
    a.set(vm())
    const connector = open([a.address, b.address])
    await connector.list(never)
    const changes = connector.watch(never)[Symbol.asyncIterator]()
    const next = async (): Promise<Change[]> => (await changes.next()).value ?? []
    b.set(vm(paused))
    b.tell(vm(), 2, 1)
    expect(await next()).toMatchObject([{ machine: { hostRef: uuidA, migratingToRef: uuidB, power: 'on' } }])
    b.set(vm())
    b.tell(vm(), 4, 1)
    expect(await next()).toMatchObject([{ machine: { hostRef: uuidB, migratingToRef: null, power: 'on' } }])
    a.domains.clear()
    a.tell(vm(), 5, 3)
    expect(await next()).toMatchObject([{ machine: { hostRef: uuidB, power: 'on' } }])
    b.domains.clear()
    b.tell(vm(), 5, 0)
    expect(await next()).toEqual([{ type: 'gone', ref: vm().uuid }])
    await b.stop()
    await expect(next()).rejects.toMatchObject({ code: 'unavailable', params: { what: b.address } })
  })

  it('fails a list when any host cannot be reached or answers nonsense, and says which', async () => {
    const a = await daemon('kvm-a', uuidA)
    const b = await daemon('kvm-b', uuidB)
    const nowhere = `${b.address}-none`
    await expect(open([a.address, nowhere]).list(never)).rejects.toMatchObject({
      code: 'unavailable',
      params: { what: nowhere },
    })
    b.set({ ...vm(), xml: '<domain>' })
    await expect(open([a.address, b.address]).list(never)).rejects.toMatchObject({
      code: 'platform_answer_invalid',
      params: { address: b.address, request: 'DOMAIN_GET_XML_DESC vm' },
    })
  })

  it('lists again after a host came back', async () => {
    let isBroken = true
    const a = await daemon('kvm-a', uuidA, {
      beforeReply: async (procedure) => {
        if (procedure !== domainGetXmlDesc || !isBroken) return
        isBroken = false
        await a.cut()
      },
    })
    a.set(vm())
    const connector = open([a.address])
    await expect(connector.list(never)).rejects.toMatchObject({ code: 'unavailable' })
    expect((await connector.list(never)).machines).toHaveLength(1)
  })

  it('keeps its connections when the signal of the call that made them is aborted later', async () => {
    const a = await daemon('kvm-a', uuidA)
    a.set(vm())
    const connector = open([a.address])
    const controller = new AbortController()
    await connector.check(controller.signal)
    controller.abort()
    expect((await connector.list(never)).machines).toHaveLength(1)
    expect(a.heard.filter((procedure) => procedure === connectOpen)).toHaveLength(1)
    await expect(connector.list(controller.signal)).rejects.toMatchObject({ code: 'aborted' })
    await expect(connector.watch(controller.signal)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'aborted',
    })
  })

  it('refuses two hosts with one uuid, and daemons that want SASL; polkit is asked', async () => {
    const a = await daemon('kvm-a', uuidA)
    const copy = await daemon('kvm-b', uuidA, { authTypes: [2] })
    await expect(open([a.address, copy.address]).check(never)).rejects.toMatchObject({
      code: 'platform_answer_invalid',
      params: { reason: expect.stringContaining('set host_uuid') },
    })
    expect(copy.heard).toContain(70)
    const sasl = await daemon('kvm-c', uuidB, { authTypes: [1] })
    await expect(open([sasl.address]).check(never)).rejects.toMatchObject({
      params: { reason: expect.stringContaining('SASL') },
    })
  })

  it('has nothing to pin on a Unix socket', async () => {
    expect(await libvirt.fingerprint('unix:///run/a, unix:///run/b', never)).toBeNull()
    expect(() => libvirt.validateAddress('kvm1')).toThrow(
      expect.objectContaining({ code: 'platform_address_invalid' }),
    )
  })
})
