/** The vSphere connector against govmomi's vCenter simulator, which was not written here. */
import { createServer } from 'node:tls'
import { type Change, type Connector, connectors, type MachineRecord } from '@ringwall/platforms'
import { createCa, silentLogger, systemClock } from '@ringwall/runtime'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startVcsim, type Vcsim, vcsimMissing } from './vcsim/vcsim.ts'

const missing = vcsimMissing()
if (missing !== undefined) process.stderr.write(`skipped: vSphere against vcsim, as ${missing}\n`)

const { vsphere } = connectors
if (vsphere === undefined) throw new Error('no vSphere connector')

const signal = () => new AbortController().signal
const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function connect(
  sim: Pick<Vcsim, 'address' | 'username' | 'password'>,
  changed: { password?: string; fingerprint?: string } = {},
): Promise<Connector> {
  const fingerprint = changed.fingerprint ?? (await vsphere?.fingerprint(sim.address, signal())) ?? undefined
  const connector = vsphere?.open({
    address: sim.address,
    fingerprint,
    credentials: { kind: 'password', username: sim.username, password: changed.password ?? sim.password },
    requestsPerSecond: 100,
    clock: systemClock,
    logger: silentLogger,
    recorder: undefined,
  })
  if (connector === undefined) throw new Error('no vSphere connector')
  cleanUps.push(() => connector.close())
  return connector
}

/** Watches in the background; `until` waits for a change. */
function follow(connector: Connector) {
  const stopping = new AbortController()
  const changes: Change[] = []
  let wake = () => {}
  const watching = (async () => {
    for await (const batch of connector.watch(stopping.signal)) {
      changes.push(...batch)
      wake()
    }
  })()
  cleanUps.push(async () => {
    stopping.abort()
    await watching
  })
  const until = async <C extends Change>(isWanted: (change: Change) => change is C): Promise<C> => {
    for (;;) {
      const found = changes.find(isWanted)
      if (found !== undefined) return found
      await Promise.race([
        new Promise<void>((resolve) => {
          wake = resolve
        }),
        watching.then(() => Promise.reject(new Error('the watch ended'))),
      ])
    }
  }
  type MachineChange = Extract<Change, { type: 'machine' }>
  const machine = async (isWanted: (machine: MachineRecord) => boolean): Promise<MachineRecord> => {
    const isIt = (change: Change): change is MachineChange =>
      change.type === 'machine' && isWanted(change.machine)
    return (await until(isIt)).machine
  }
  return { changes, until, machine }
}

const vm = (id: string) => ({ type: 'VirtualMachine', id })
const sessionManager = { type: 'SessionManager', id: 'SessionManager' }

describe.skipIf(missing !== undefined)('vSphere against vcsim', () => {
  let sim: Vcsim
  beforeAll(async () => {
    sim = await startVcsim({ hosts: 4, vms: 200 })
  })
  afterAll(async () => await sim?.stop())

  it('checks and lists everything', async () => {
    const connector = await connect(sim)
    const identity = await connector.check(signal())
    expect(identity).toMatchObject({ product: 'VMware vCenter Server', warnings: [] })
    expect(identity.instanceId).toMatch(/^[0-9a-f-]{36}$/)
    const { clusters, hosts, machines } = await connector.list(signal())
    expect([clusters.length, hosts.length, machines.length]).toEqual([1, 4, 200])
    const hostRefs = hosts.map(({ ref }) => ref)
    for (const machine of machines) {
      expect(hostRefs).toContain(machine.hostRef)
      expect(machine).toMatchObject({
        clusterRef: clusters[0]?.ref,
        isTemplate: false,
        power: 'on',
        uuid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        macs: [expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)],
        datastores: ['LocalDS_0'],
      })
    }
  })

  it('follows a migration to another host', async () => {
    const connector = await connect(sim)
    const { hosts, machines } = await connector.list(signal())
    const [moved] = machines
    const target = hosts.find(({ ref }) => ref !== moved?.hostRef)
    if (moved === undefined || target === undefined) throw new Error('nothing to move')
    const { machine } = follow(connector)
    const startedAtMs = performance.now()
    await sim.call(
      'RelocateVM_Task',
      vm(moved.ref),
      `<spec><host type="HostSystem">${target.ref}</host></spec>`,
    )
    const seen = await machine(({ ref, hostRef }) => ref === moved.ref && hostRef === target.ref)
    process.stdout.write(`migration seen after ${Math.round(performance.now() - startedAtMs)} ms\n`)
    expect(seen).toEqual({ ...moved, hostRef: target.ref })
  })

  it('sees a clone with its parent, and the end of it', async () => {
    const connector = await connect(sim)
    const { machines } = await connector.list(signal())
    const source = machines[5]
    if (source === undefined) throw new Error('nothing to clone')
    const folder = /type="Folder">([^<]+)</.exec(await readProperty(sim, vm(source.ref), 'parent'))?.[1]
    const { machine, until } = follow(connector)
    await sim.call(
      'CloneVM_Task',
      vm(source.ref),
      `<folder type="Folder">${folder}</folder><name>copy</name>` +
        '<spec><location/><template>false</template><powerOn>false</powerOn></spec>',
    )
    const copy = await machine(({ name, parent }) => name === 'copy' && parent !== null)
    expect(copy).toMatchObject({
      power: 'off',
      parent: {
        ref: source.ref,
        name: source.name,
        kind: 'full',
        evidence: expect.stringMatching(/^event VmClonedEvent \d+$/),
      },
    })

    await sim.call('Destroy_Task', vm(copy.ref))
    await until(
      (change): change is Change & { type: 'gone' } => change.type === 'gone' && change.ref === copy.ref,
    )
  })

  it('sees a machine become a template, which nothing announces', async () => {
    const connector = await connect(sim)
    const { machines } = await connector.list(signal())
    const chosen = machines.at(-1)
    if (chosen === undefined) throw new Error('nothing to mark')
    const { machine } = follow(connector)
    await sim.call('PowerOffVM_Task', vm(chosen.ref))
    await machine(({ ref, power }) => ref === chosen.ref && power === 'off')
    await sim.call('MarkAsTemplate', vm(chosen.ref))
    await machine(({ ref, isTemplate }) => ref === chosen.ref && isTemplate)
  })

  it('signs in again when its session is ended, says so, and goes on', async () => {
    const connector = await connect(sim)
    const { hosts, machines } = await connector.list(signal())
    const moved = machines[9]
    const target = hosts.find(({ ref }) => ref !== moved?.hostRef)
    if (moved === undefined || target === undefined) throw new Error('nothing to move')
    const { until, machine } = follow(connector)
    expect(await endOtherSessions(sim)).toBeGreaterThan(0)
    await until((change): change is Change & { type: 'resync' } => change.type === 'resync')
    await sim.call(
      'RelocateVM_Task',
      vm(moved.ref),
      `<spec><host type="HostSystem">${target.ref}</host></spec>`,
    )
    await machine(({ ref, hostRef }) => ref === moved.ref && hostRef === target.ref)
  })

  it('refuses a wrong password', async () => {
    const connector = await connect(sim, { password: 'wrong' })
    await expect(connector.check(signal())).rejects.toMatchObject({
      code: 'platform_login_failed',
      params: { account: sim.username },
    })
    await expect(connector.list(signal())).rejects.toMatchObject({ code: 'platform_login_failed' })
  })

  it('lists a single ESXi host', async () => {
    const esx = await startVcsim({ esx: true, vms: 7 })
    cleanUps.push(esx.stop)
    const connector = await connect(esx)
    expect((await connector.check(signal())).warnings).toEqual([
      { code: 'single_host', params: { product: 'ESXi' } },
    ])
    const { clusters, hosts, machines } = await connector.list(signal())
    expect([clusters.length, hosts.length, machines.length]).toEqual([0, 1, 7])
    expect(hosts[0]?.ref).toBe('ha-host')
  })
})

describe('vSphere with another certificate than the accepted one', () => {
  it('sends nothing', async () => {
    const { certificatePem, keyPem } = await createCa({ commonName: 'other', days: 1 })
    let receivedBytes = 0
    const server = createServer({ cert: certificatePem, key: keyPem }, (socket) => {
      socket.on('data', (data) => {
        receivedBytes += data.length
      })
      socket.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanUps.push(() => new Promise((resolve) => server.close(resolve)))
    const at = server.address()
    const port = typeof at === 'object' ? at?.port : undefined
    const connector = await connect(
      { address: `127.0.0.1:${port}`, username: 'reader', password: 'secret' },
      { fingerprint: `sha256:${'0'.repeat(64)}` },
    )
    await expect(connector.check(signal())).rejects.toMatchObject({ code: 'certificate_untrusted' })
    expect(receivedBytes).toBe(0)
  })
})

/** Ends every session but the administrator's; answers how many there were. */
async function endOtherSessions(sim: Vcsim): Promise<number> {
  const keysIn = async (path: string) =>
    [...(await readProperty(sim, sessionManager, path)).matchAll(/<key>([^<]+)</g)].map(
      ([, key]) => key ?? '',
    )
  const own = await keysIn('currentSession')
  const others = (await keysIn('sessionList')).filter((key) => !own.includes(key))
  for (const key of others)
    await sim.call('TerminateSession', sessionManager, `<sessionId>${key}</sessionId>`)
  return others.length
}

async function readProperty(sim: Vcsim, object: { type: string; id: string }, path: string): Promise<string> {
  const spec =
    `<specSet><propSet><type>${object.type}</type><pathSet>${path}</pathSet></propSet>` +
    `<objectSet><obj type="${object.type}">${object.id}</obj></objectSet></specSet><options/>`
  return await sim.call('RetrievePropertiesEx', { type: 'PropertyCollector', id: 'propertyCollector' }, spec)
}
