import { AppError, isAppError } from '@ringwall/contracts'
import { type Clock, sleep, TokenBucket } from '@ringwall/runtime'
import type { ConnectorOptions, HostRecord, Ref } from '../types.ts'
import { type DomainDescription, parseDomainXml, parseHostUuid } from './domain-xml.ts'
import type { Endpoint } from './endpoints.ts'
import { createLibvirtApi, type DomainEvent, type DomainId, readEvent } from './protocol.ts'
import { createRpcClient } from './rpc.ts'
import type { Observation } from './sightings.ts'
import { connectSsh } from './ssh.ts'
import { connectUnix } from './unix.ts'

/** A daemon works on five calls of a client at a time (`max_client_requests`); more would only wait there. */
const callsAtOnce = 4
/** A domain that migrates may keep its lock; what it would have said is asked again by the next event or list. */
const readBackTimeoutMs = 5_000

export type DomainObservation = Observation<DomainDescription>
/** One connected daemon. */
export type LibvirtHost = {
  endpoint: Endpoint
  record: HostRecord
  /** Every domain it knows, or an error. */
  domains: (signal: AbortSignal, onDomain: () => void) => Promise<DomainObservation[]>
  /** One domain; null when it has none such. */
  domain: (domain: DomainId, signal: AbortSignal) => Promise<DomainObservation | null>
  /** Asks a small thing, so that a dead connection is noticed. */
  ping: (signal: AbortSignal) => Promise<void>
  /** Why the connection ended; null while it stands. */
  ended: () => AppError | null
  close: () => void
}

/**
 * Connects, opens the QEMU driver read-only and starts the event stream, so that nothing that happens after this is missed. `onEvent` hears
 * events, `onEnd` the end of the connection. Errors: those of the transports and of `RpcClient.call`.
 */
export async function openHost(
  endpoint: Endpoint,
  options: Pick<ConnectorOptions, 'credentials' | 'requestsPerSecond' | 'clock' | 'recorder'> & {
    hostKey: string | undefined
    onEvent: (host: Ref, event: DomainEvent) => void
    onEnd: () => void
    signal: AbortSignal
  },
): Promise<LibvirtHost> {
  const { hostKey, credentials, recorder, signal } = options
  const transport =
    endpoint.kind === 'unix'
      ? await connectUnix(endpoint, signal)
      : await connectSsh(endpoint, { hostKey, credentials, signal })
  const early: DomainEvent[] = []
  let hear = (event: DomainEvent): void => void early.push(event)
  const rpc = createRpcClient({
    stream: transport.stream,
    address: endpoint.label,
    account: transport.account,
    onEvent: (message) => {
      const event = readEvent(message)
      if (event !== null) hear(event)
    },
    onEnd: () => {
      transport.close()
      options.onEnd()
    },
  })
  const admit = rateLimit(options.requestsPerSecond, options.clock)
  const api = createLibvirtApi(rpc, endpoint.label)

  async function readXml<T>(name: string, xml: string, parse: (xml: string) => T): Promise<T> {
    recorder?.record({ request: name, status: 0, body: xml })
    try {
      return parse(xml)
    } catch (cause) {
      if (!isAppError(cause, 'message_invalid')) throw cause
      const reason = String(cause.params.problems)
      throw new AppError(
        'platform_answer_invalid',
        { address: endpoint.label, request: name, reason },
        { cause },
      )
    }
  }

  async function describe(
    domain: DomainId,
    signal: AbortSignal,
    timeoutMs?: number,
  ): Promise<DomainDescription> {
    await admit(signal)
    const xml = await api.xml(domain, signal, timeoutMs)
    return await readXml(`DOMAIN_GET_XML_DESC ${domain.name}`, xml, parseDomainXml)
  }

  /** A domain that went away between two calls is none that failed. */
  const orNull = (error: unknown): null => {
    if (isAppError(error, 'not_found')) return null
    throw error
  }

  try {
    await api.open(signal)
    const record = await identify()
    await api.subscribe(signal)
    hear = (event) => options.onEvent(record.ref, event)
    for (const event of early) hear(event)
    return {
      endpoint,
      record,
      ended: rpc.ended,
      close: rpc.close,
      ping: async (signal) => {
        await api.hostname(signal)
      },
      domain: async (domain, signal) => {
        await admit(signal)
        const state = (await api.states([domain], signal, readBackTimeoutMs)).get(domain.uuid)
        if (state === undefined) return null
        const description = await describe(domain, signal, readBackTimeoutMs).catch(orNull)
        return description === null ? null : { uuid: domain.uuid, state, description }
      },
      domains: async (signal, onDomain) => {
        await admit(signal)
        const domains = await api.domains(signal)
        await admit(signal)
        const states = await api.states([], signal)
        const found: DomainObservation[] = []
        await forEachAtOnce(domains, async (domain) => {
          const state = states.get(domain.uuid)
          if (state === undefined) return
          const description = await describe(domain, signal).catch(orNull)
          if (description !== null) found.push({ uuid: domain.uuid, state, description })
          onDomain()
        })
        return found
      },
    }
  } catch (error) {
    rpc.close()
    throw error
  }

  async function identify(): Promise<HostRecord> {
    const name = await api.hostname(signal)
    const uuid = await readXml('GET_CAPABILITIES', await api.capabilities(signal), parseHostUuid)
    const versions = [await api.libvirtVersion(signal), await api.hypervisorVersion(signal)]
    return {
      // A host without a uuid (no DMI and none in libvirtd.conf) is told by its endpoint.
      ref: uuid ?? endpoint.label,
      name,
      clusterRef: null,
      address: endpoint.kind === 'ssh' ? endpoint.host : null,
      uuid,
      state: 'up',
      version: `libvirt ${versions[0]}, QEMU ${versions[1]}`,
    }
  }
}

function rateLimit(perSecond: number, clock: Clock): (signal: AbortSignal) => Promise<void> {
  const bucket = new TokenBucket({ perSecond, burst: Math.max(1, perSecond), clock })
  return async (signal) => {
    for (let waitMs = bucket.take(); waitMs > 0; waitMs = bucket.take()) await sleep(waitMs, signal)
  }
}

/** Runs `work` for each item, a few at once; the first error ends it. */
async function forEachAtOnce<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  const worker = async () => {
    for (const item of left) await work(item)
  }
  await Promise.all(Array.from({ length: callsAtOnce }, worker))
}
