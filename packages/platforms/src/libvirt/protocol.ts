/** The calls and events of libvirt's remote protocol (src/remote/remote_protocol.x) that an inventory needs. All of them only read. */
import { AppError, isAppError } from '@ringwall/contracts'
import type { RpcClient, RpcEvent } from './rpc.ts'
import { type XdrReader, XdrWriter } from './xdr.ts'

const procedure = {
  open: 1,
  getVersion: 4,
  getCapabilities: 7,
  domainGetXmlDesc: 14,
  getHostname: 59,
  authList: 66,
  authPolkit: 70,
  getLibVersion: 157,
  listAllDomains: 273,
  eventRegister: 316,
  eventLifecycle: 318,
  getAllDomainStats: 344,
  eventMigrationIteration: 359,
}
const auth = { none: 0, polkit: 2 }
const openReadOnly = 1
const eventId = { lifecycle: 0, migrationIteration: 20 }
const statsState = 1

/** remote_nonnull_domain; `uuid` as hex with dashes. */
export type DomainId = { name: string; uuid: string; id: number }
/** virDomainState and the reason that belongs to it. */
export type DomainState = { state: number; reason: number }
/** `lifecycle` is null where only "look again" is known. */
export type DomainEvent = { domain: DomainId; lifecycle: { event: number; detail: number } | null }

export function writeDomain(writer: XdrWriter, domain: DomainId): void {
  writer
    .string(domain.name)
    .opaque(Buffer.from(domain.uuid.replaceAll('-', ''), 'hex'))
    .i32(domain.id)
}

export function readDomain(body: XdrReader): DomainId {
  const name = body.string()
  const hex = body.opaque(16).toString('hex')
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return { name, uuid, id: body.i32() }
}

/** virTypedParameter as a number; NaN for what is none. */
function readTypedParameter(body: XdrReader): [string, number] {
  const field = body.string()
  const type = body.i32()
  switch (type) {
    case 1:
    case 6:
      return [field, body.i32()]
    case 2:
      return [field, body.u32()]
    case 3:
    case 4:
      return [field, Number(body.u64())]
    case 5:
      return [field, body.opaque(8).readDoubleBE()]
    case 7:
      body.string()
      return [field, Number.NaN]
    default:
      throw new AppError('message_invalid', { type: 'xdr', problems: `a typed parameter of type ${type}` })
  }
}

/** What an event of the stream says; null for events of no use here. Throws message_invalid. */
export function readEvent({ procedure: number, body }: RpcEvent): DomainEvent | null {
  if (number !== procedure.eventLifecycle && number !== procedure.eventMigrationIteration) return null
  body.i32()
  const domain = readDomain(body)
  if (number === procedure.eventMigrationIteration) return { domain, lifecycle: null }
  return { domain, lifecycle: { event: body.i32(), detail: body.i32() } }
}

/** `9000000` is 9.0.0. */
const versionText = (number: number) =>
  `${Math.floor(number / 1_000_000)}.${Math.floor(number / 1000) % 1000}.${number % 1000}`

export type LibvirtApi = ReturnType<typeof createLibvirtApi>

/** Typed calls over `rpc`. `address` is for messages. */
export function createLibvirtApi(rpc: RpcClient, address: string) {
  const call = rpc.call

  async function authenticate(signal: AbortSignal): Promise<void> {
    const offered = await call(
      procedure.authList,
      'AUTH_LIST',
      null,
      (body) => body.array(() => body.i32()),
      signal,
    )
    if (offered.includes(auth.none) || offered.length === 0) return
    if (!offered.includes(auth.polkit))
      throw new AppError('platform_answer_invalid', {
        address,
        request: 'AUTH_LIST',
        reason: 'it wants SASL; use a Unix socket, directly or through SSH',
      })
    await call(procedure.authPolkit, 'AUTH_POLKIT', null, (body) => body.i32(), signal)
  }

  const openUri = (uri: string, signal: AbortSignal) =>
    call(
      procedure.open,
      `CONNECT_OPEN ${uri}`,
      new XdrWriter().u32(1).string(uri).u32(openReadOnly),
      () => undefined,
      signal,
    )

  return {
    /** Opens the QEMU driver, read-only: the one of the system, or of the account where the daemon is an account's own. */
    open: async (signal: AbortSignal): Promise<void> => {
      await authenticate(signal)
      await openUri('qemu:///system', signal).catch(async (error: unknown) => {
        if (!isAppError(error, 'platform_answer_invalid')) throw error
        await openUri('qemu:///session', signal).catch(() => {
          throw error
        })
      })
    },
    hostname: (signal: AbortSignal): Promise<string> =>
      call(procedure.getHostname, 'GET_HOSTNAME', null, (body) => body.string(), signal),
    capabilities: (signal: AbortSignal): Promise<string> =>
      call(procedure.getCapabilities, 'GET_CAPABILITIES', null, (body) => body.string(), signal),
    libvirtVersion: (signal: AbortSignal): Promise<string> =>
      call(
        procedure.getLibVersion,
        'GET_LIB_VERSION',
        null,
        (body) => versionText(Number(body.u64())),
        signal,
      ),
    hypervisorVersion: (signal: AbortSignal): Promise<string> =>
      call(procedure.getVersion, 'GET_VERSION', null, (body) => versionText(Number(body.u64())), signal),
    /** All domains, running or not. */
    domains: (signal: AbortSignal): Promise<DomainId[]> =>
      call(
        procedure.listAllDomains,
        'LIST_ALL_DOMAINS',
        new XdrWriter().i32(1).u32(0),
        (body) => body.array(() => readDomain(body)),
        signal,
      ),
    /** By uuid; of all domains when none are named. A domain that is not there is missing in the answer. */
    states: async (
      domains: DomainId[],
      signal: AbortSignal,
      timeoutMs?: number,
    ): Promise<Map<string, DomainState>> => {
      const args = new XdrWriter()
      args.array(domains, (domain) => writeDomain(args, domain))
      const records = await call(
        procedure.getAllDomainStats,
        'GET_ALL_DOMAIN_STATS',
        args.u32(statsState).u32(0),
        (body) =>
          body.array(() => ({
            domain: readDomain(body),
            values: new Map(body.array(() => readTypedParameter(body))),
          })),
        signal,
        timeoutMs,
      )
      return new Map(
        records.map(({ domain, values }) => [
          domain.uuid,
          { state: values.get('state.state') ?? 0, reason: values.get('state.reason') ?? 0 },
        ]),
      )
    },
    xml: (domain: DomainId, signal: AbortSignal, timeoutMs?: number): Promise<string> => {
      const args = new XdrWriter()
      writeDomain(args, domain)
      return call(
        procedure.domainGetXmlDesc,
        `DOMAIN_GET_XML_DESC ${domain.name}`,
        args.u32(0),
        (body) => body.string(),
        signal,
        timeoutMs,
      )
    },
    /** Starts the event stream. Iterations of migrations are a welcome extra that older daemons lack. */
    subscribe: async (signal: AbortSignal): Promise<void> => {
      const register = (id: number) =>
        call(
          procedure.eventRegister,
          'CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY',
          new XdrWriter().i32(id).u32(0),
          (body) => body.i32(),
          signal,
        )
      await register(eventId.lifecycle)
      await register(eventId.migrationIteration).catch((error: unknown) => {
        if (!isAppError(error, 'platform_answer_invalid')) throw error
      })
    },
  }
}
