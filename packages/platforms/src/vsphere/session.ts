import { AppError, type PlatformCredentials } from '@ringwall/contracts'
import { childOf, escapeXml, textOf, type XmlElement } from '../xml.ts'
import { type ManagedObject, type Soap, type SoapCall, SoapFault, toRef } from './soap.ts'

/** The entry points of one server. Their ids differ between vCenter and ESXi (`ha-…`), so they are asked for, never assumed. */
export type ServiceContent = {
  rootFolder: ManagedObject
  propertyCollector: ManagedObject
  viewManager: ManagedObject
  sessionManager: ManagedObject
  eventManager: ManagedObject | undefined
  product: string
  version: string
  /** True for one ESXi host that is spoken to directly. */
  isSingleHost: boolean
  instanceId: string | null
}

export type Session = {
  address: string
  account: string
  content: (signal: AbortSignal) => Promise<ServiceContent>
  /** Signs in where needed, and once more where the session is gone. For calls that live on their own. */
  call: (call: SoapCall) => Promise<XmlElement>
  /** Like `call` for what dies with the session: a lost session is a fault (`isLost`). */
  callBound: (call: SoapCall) => Promise<XmlElement>
  /** Removes what was made on the server, where the session still lives; never throws. */
  cleanUp: (calls: { method: string; on: ManagedObject }[]) => Promise<void>
  /** Signs out; never throws. */
  close: () => Promise<void>
}

const cleanUpMs = 5000
const signInMs = 30_000

/**
 * One signed-in session. Errors beyond those of `Soap`: platform_login_failed, platform_permission.
 */
export function createSession(options: { soap: Soap; credentials: PlatformCredentials }): Session {
  const { soap, credentials } = options
  const { address } = soap
  const account = credentials.kind === 'password' ? credentials.username : credentials.kind
  let content: Promise<ServiceContent> | undefined
  let signingIn: Promise<void> | undefined
  /** Counts sign-ins: who finds the session gone tells by it whether somebody else has already renewed it. */
  let generation = 0
  let isSignedIn = false

  // Shared by all callers, so that none of them can abort it for the others.
  const common = { signal: new AbortController().signal, timeoutMs: signInMs }

  async function readContent(): Promise<ServiceContent> {
    const answer = await soap.call({
      method: 'RetrieveServiceContent',
      on: { type: 'ServiceInstance', id: 'ServiceInstance' },
      ...common,
    })
    return toServiceContent(childOf(answer, 'returnval'), address)
  }

  function contentOnce(): Promise<ServiceContent> {
    content ??= readContent().catch((error) => {
      content = undefined
      throw error
    })
    return content
  }

  async function signIn(): Promise<void> {
    if (credentials.kind !== 'password') throw new AppError('platform_login_failed', { address, account })
    const { sessionManager } = await contentOnce()
    const { username, password } = credentials
    try {
      await soap.call({
        method: 'Login',
        on: sessionManager,
        body: `<userName>${escapeXml(username)}</userName><password>${escapeXml(password)}</password>`,
        isSignIn: true,
        ...common,
      })
    } catch (error) {
      if (!(error instanceof SoapFault)) throw error
      if (error.fault === 'InvalidLogin')
        throw new AppError('platform_login_failed', { address, account }, { cause: error })
      if (error.fault === 'NoPermission') throw permission('anything', error)
      throw error
    }
    generation += 1
    isSignedIn = true
  }

  function signInOnce(): Promise<void> {
    signingIn ??= signIn().finally(() => {
      signingIn = undefined
    })
    return signingIn
  }

  const permission = (what: string, cause: unknown) =>
    new AppError('platform_permission', { account, what, address }, { cause })

  async function callBound(call: SoapCall): Promise<XmlElement> {
    if (!isSignedIn) await unlessAborted(signInOnce(), call.signal)
    const before = generation
    try {
      return await soap.call(call)
    } catch (error) {
      if (!(error instanceof SoapFault)) throw error
      if (error.fault === 'NotAuthenticated' && before === generation) isSignedIn = false
      if (error.fault === 'NoPermission') throw permission(call.method, error)
      throw error
    }
  }

  return {
    address,
    account,
    content: (signal) => unlessAborted(contentOnce(), signal),
    callBound,
    call: async (call) => {
      try {
        return await callBound(call)
      } catch (error) {
        if (!(error instanceof SoapFault && error.fault === 'NotAuthenticated')) throw error
        return await callBound(call)
      }
    },
    cleanUp: async (calls) => {
      const signal = AbortSignal.timeout(cleanUpMs)
      for (const call of calls) if (isSignedIn) await soap.call({ ...call, signal }).catch(() => undefined)
    },
    close: async () => {
      if (!isSignedIn) return
      isSignedIn = false
      const signal = AbortSignal.timeout(cleanUpMs)
      await contentOnce()
        .then(({ sessionManager }) => soap.call({ method: 'Logout', on: sessionManager, signal }))
        .catch(() => undefined)
    },
  }
}

const lostFaults = new Set(['NotAuthenticated', 'ManagedObjectNotFound', 'InvalidCollectorVersion'])

/** Whether an error says that the session, or what was made in it, is no longer there. */
export function isLost(error: unknown): boolean {
  return error instanceof SoapFault && lostFaults.has(error.fault)
}

/** The result of work that others wait for too; aborted as soon as the signal says so. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw new AppError('aborted')
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new AppError('aborted'))
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}

function toServiceContent(value: XmlElement | undefined, address: string): ServiceContent {
  const needed = (name: string): ManagedObject => {
    const ref = toRef(childOf(value, name))
    if (ref !== undefined) return ref
    throw new AppError('platform_answer_invalid', {
      address,
      request: 'RetrieveServiceContent',
      reason: `no ${name}`,
    })
  }
  return {
    rootFolder: needed('rootFolder'),
    propertyCollector: needed('propertyCollector'),
    viewManager: needed('viewManager'),
    sessionManager: needed('sessionManager'),
    eventManager: toRef(childOf(value, 'eventManager')),
    product: textOf(value, 'about', 'name') ?? 'VMware vSphere',
    version: textOf(value, 'about', 'version') ?? '',
    isSingleHost: textOf(value, 'about', 'apiType') === 'HostAgent',
    instanceId: textOf(value, 'about', 'instanceUuid')?.toLowerCase() ?? null,
  }
}
