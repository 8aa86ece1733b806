import { AppError, isAppError } from '@ringwall/contracts'
import { Semaphore } from '@ringwall/runtime'
import type { Change, Connector, ConnectorDefinition, ConnectorOptions, Ref } from '../types.ts'
import type { DomainDescription } from './domain-xml.ts'
import { type Endpoint, formatHostKeys, parseEndpoints, parseHostKeys } from './endpoints.ts'
import { type LibvirtHost, openHost } from './host.ts'
import { diskOwners, machineRecord } from './machines.ts'
import type { DomainEvent } from './protocol.ts'
import { createSightings } from './sightings.ts'
import { presentedHostKey } from './ssh.ts'

const idleMs = 30_000
/** Some minutes of a very busy site; past it a list is the better answer. */
const maxQueuedEvents = 20_000
const maxBatch = 200

type QueuedEvent = DomainEvent & { hostRef: Ref; at: Date }

/** KVM hosts, each through its own libvirt daemon: over its Unix socket, directly or through SSH. */
export const libvirt: ConnectorDefinition = {
  kind: 'libvirt',
  capabilities: {
    changes: 'push',
    lineage: 'derived',
    templates: false,
    guestAddresses: false,
    credentialKinds: ['ssh-key', 'password', 'none'],
    verified: 'real-peer',
    addressExample: 'ssh://ringwall@kvm1, ssh://ringwall@kvm2, unix:///run/libvirt/libvirt-sock-ro',
  },
  validateAddress: (address) => void parseEndpoints(address),
  fingerprint: async (address, signal) => {
    const endpoints = parseEndpoints(address).filter(({ kind }) => kind === 'ssh')
    const keys = endpoints.map(
      async (endpoint): Promise<[string, string][]> =>
        endpoint.kind === 'ssh' ? [[endpoint.label, await presentedHostKey(endpoint, signal)]] : [],
    )
    return formatHostKeys(new Map((await Promise.all(keys)).flat()))
  },
  open: createLibvirtConnector,
}

function createLibvirtConnector(options: ConnectorOptions): Connector {
  const { clock, logger } = options
  const endpoints = parseEndpoints(options.address)
  const hostKeys = parseHostKeys(options.fingerprint, endpoints)
  const hosts = new Map<Endpoint, LibvirtHost>()
  const sightings = createSightings<DomainDescription>()
  /** A list and the reading back of events would overwrite each other's newer knowledge. */
  const turn = new Semaphore({ capacity: 1 })
  let queue: QueuedEvent[] = []
  let isOverflown = false
  let wake = (): void => undefined

  function enqueue(hostRef: Ref, event: DomainEvent): void {
    if (queue.length >= maxQueuedEvents) isOverflown = true
    else queue.push({ ...event, hostRef, at: new Date(clock.nowMs()) })
    wake()
  }

  async function connect(endpoint: Endpoint, signal: AbortSignal): Promise<LibvirtHost> {
    const known = hosts.get(endpoint)
    if (known !== undefined && known.ended() === null) return known
    const host = await openHost(endpoint, {
      credentials: options.credentials,
      requestsPerSecond: options.requestsPerSecond,
      clock,
      recorder: options.recorder,
      hostKey: hostKeys.get(endpoint.label),
      onEvent: enqueue,
      onEnd: () => wake(),
      signal,
    })
    hosts.set(endpoint, host)
    return host
  }

  /** All hosts, connected; the first that cannot be reached is the error, and names its endpoint. */
  async function connectAll(signal: AbortSignal): Promise<LibvirtHost[]> {
    const connected = await Promise.all(endpoints.map((endpoint) => connect(endpoint, signal)))
    const seen = new Map<Ref, string>()
    for (const { record, endpoint } of connected) {
      const other = seen.get(record.ref)
      if (other !== undefined)
        throw new AppError('platform_answer_invalid', {
          address: endpoint.label,
          request: 'GET_CAPABILITIES',
          reason: `it has the host uuid ${record.ref} of ${other}; set host_uuid in libvirtd.conf of copied hosts`,
        })
      seen.set(record.ref, endpoint.label)
    }
    return connected
  }

  /** Waits for events or the end of a connection; false when nothing came for `idleMs`. Throws aborted. */
  async function somethingHappens(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) throw new AppError('aborted')
    const isTime = () => queue.length > 0 || isOverflown || endedHost() !== null
    if (isTime()) return true
    const { promise, resolve } = Promise.withResolvers<void>()
    const onAbort = () => resolve()
    const idle = setTimeout(resolve, idleMs)
    signal.addEventListener('abort', onAbort, { once: true })
    wake = resolve
    await promise
    clearTimeout(idle)
    signal.removeEventListener('abort', onAbort)
    if (signal.aborted) throw new AppError('aborted')
    return isTime()
  }

  function endedHost(): AppError | null {
    for (const host of hosts.values()) {
      const reason = host.ended()
      if (reason !== null) return reason
    }
    return null
  }

  /** Takes events in, asks their hosts how it is now, and says what that makes of the machines. */
  async function digest(events: QueuedEvent[], signal: AbortSignal): Promise<Change[]> {
    const changes: Change[] = []
    const touched = new Map<string, Date>()
    const lookups = new Map<string, QueuedEvent>()
    for (const event of events) {
      const { hostRef, domain, lifecycle, at } = event
      if (lifecycle !== null) sightings.event(hostRef, domain.uuid, lifecycle.event, lifecycle.detail)
      touched.set(domain.uuid, at)
      lookups.set(`${hostRef} ${domain.uuid}`, event)
    }
    for (const { hostRef, domain } of lookups.values()) {
      const host = [...hosts.values()].find(({ record }) => record.ref === hostRef)
      try {
        const observation = (await host?.domain(domain, signal)) ?? null
        sightings.observe(hostRef, domain.uuid, observation)
      } catch (error) {
        if (!isAppError(error, 'timeout')) throw error
        logger.warn({ error, domain: domain.name }, 'domain could not be read back in time')
        changes.push({ type: 'resync', reason: error.message })
      }
    }
    const owners = ownersNow()
    for (const [uuid, at] of touched) {
      const placement = sightings.placement(uuid)
      if (placement === 'gone') changes.push({ type: 'gone', ref: uuid })
      else if (placement !== undefined) {
        const machine = machineRecord(uuid, placement, owners)
        if (machine !== null) changes.push({ type: 'machine', machine, at })
      }
    }
    return changes
  }

  const ownersNow = () =>
    diskOwners([...sightings.all().values()].flatMap(({ description }) => description ?? []))

  async function inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const release = await turn.acquire(1, signal)
    try {
      return await work()
    } finally {
      release()
    }
  }

  return {
    check: async (signal) => {
      const [first] = await inTurn(signal, () => connectAll(signal))
      return {
        product: 'libvirt/KVM',
        version: first?.record.version ?? '',
        // One host is the installation; several are only what this entry puts together.
        instanceId: endpoints.length === 1 ? (first?.record.uuid ?? null) : null,
        warnings: [],
      }
    },
    list: (signal, onProgress) =>
      inTurn(signal, async () => {
        const connected = await connectAll(signal)
        // What was told so far is in what the hosts answer now.
        queue = []
        isOverflown = false
        let objects = 0
        const onDomain = () => {
          objects += 1
          onProgress?.(objects)
        }
        const lists = await Promise.all(
          connected.map(async (host) => ({
            hostRef: host.record.ref,
            domains: await host.domains(signal, onDomain),
          })),
        )
        sightings.replace(lists)
        // A domain may have left one host and come to another between the two answers: only events know it. The
        // answer to a ping comes after all of them that a host sent before.
        await Promise.all(connected.map((host) => host.ping(signal)))
        await digest(queue.splice(0), signal)
        const owners = ownersNow()
        return {
          clusters: [],
          hosts: connected.map(({ record }) => record),
          machines: [...sightings.all()].flatMap(
            ([uuid, placement]) => machineRecord(uuid, placement, owners) ?? [],
          ),
        }
      }),
    watch: async function* (signal) {
      await inTurn(signal, () => connectAll(signal))
      for (;;) {
        const isTime = await somethingHappens(signal)
        const ended = endedHost()
        if (ended !== null) throw ended
        if (isOverflown) {
          isOverflown = false
          queue = []
          yield [{ type: 'resync', reason: `more than ${maxQueuedEvents} events waited` }]
        } else if (isTime) {
          const changes = await inTurn(signal, () => digest(queue.splice(0, maxBatch), signal))
          if (changes.length > 0) yield changes
        } else {
          for (const host of hosts.values()) await host.ping(signal)
          yield []
        }
      }
    },
    close: async () => {
      for (const host of hosts.values()) host.close()
      hosts.clear()
    },
  }
}
