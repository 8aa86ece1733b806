/** The REST API of oVirt and Red Hat Virtualization, in XML: signing in and reading. Nothing here writes. */
import { AppError } from '@ringwall/contracts'
import { z } from 'zod'
import { mapConcurrent } from '../concurrent.ts'
import { createPinnedHttp, type HttpAnswer, parseHttpsAddress } from '../http.ts'
import { createSession } from '../session.ts'
import type { ConnectorOptions } from '../types.ts'
import { childrenOf, parseXml, type XmlElement } from '../xml.ts'

export const defaultPort = 443
const apiPath = '/ovirt-engine/api'
const tokenPath = '/ovirt-engine/sso/oauth/token'
const signOutPath = '/ovirt-engine/services/sso-logout'
/** Requests at the same time, for what is read one by one. */
export const concurrentReads = 8
const signOutTimeoutMs = 3_000
/** An engine of 100,000 machines has a thousand pages; one that goes on after this answers nonsense. */
const maxPages = 5_000

/** Links that answers carry inside themselves since 4.2; older engines ignore the wish. Less is asked of one that refuses. */
const followSets = ['nics,reported_devices,disk_attachments.disk', 'nics,reported_devices', '']

export type Collection<T> = {
  items: Map<string, T>
  /** Ids that came more than once. */
  repeated: Set<string>
  /** How many pages had something. */
  pages: number
}

export type OvirtClient = {
  /** The root of an answer. Errors: platform_login_failed, platform_permission, platform_answer_invalid, unavailable, timeout. */
  read: (path: string, signal: AbortSignal) => Promise<XmlElement>
  /** The same, but undefined for an answer with one of these states. */
  readUnless: (statuses: number[], path: string, signal: AbortSignal) => Promise<XmlElement | undefined>
  /** One machine with what hangs on it; undefined when it does not exist. */
  readMachine: (id: string, signal: AbortSignal) => Promise<XmlElement | undefined>
  /**
   * Every element of a collection, one per id: pages until one brings nothing new, or an error. Each page is converted before the next is
   * asked for, as the elements of thousands of machines would fill the memory.
   */
  readAll: <T>(
    collection: string,
    name: string,
    convert: (element: XmlElement) => T | Promise<T>,
    signal: AbortSignal,
    onProgress?: (objects: number) => void,
  ) => Promise<Collection<T>>
  close: () => Promise<void>
}

const tokenSchema = z.object({ access_token: z.string().min(1) })

export function createOvirtClient(options: ConnectorOptions): OvirtClient {
  const { credentials, fingerprint } = options
  const { host, port } = parseHttpsAddress(options.address, defaultPort)
  const address = `${host}:${port}`
  if (fingerprint === undefined)
    throw new AppError('certificate_untrusted', { address, reason: 'no fingerprint was accepted yet' })
  if (credentials.kind !== 'password')
    throw new AppError('platform_login_failed', { address, account: credentials.kind })
  const { username: account, password } = credentials
  const http = createPinnedHttp({ host, port, ...options, fingerprint })
  let followSet = 0

  const refused = () => new AppError('platform_login_failed', { address, account })
  const unexpected = (request: string, reason: string, cause?: unknown) =>
    new AppError('platform_answer_invalid', { address, request, reason }, { cause })

  /** The value of `Authorization`. Engines before 4.0 have no sign-on service and take Basic. */
  const session = createSession(async (signal): Promise<string> => {
    const form = { grant_type: 'password', scope: 'ovirt-app-api', username: account, password }
    const answer = await http.send({
      method: 'POST',
      path: tokenPath,
      headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
      signal,
      recordAs: null,
    })
    if (answer.status === 404) return `Basic ${Buffer.from(`${account}:${password}`).toString('base64')}`
    if (answer.status === 400 || answer.status === 401 || answer.status === 403) throw refused()
    if (answer.status !== 200) throw unexpected(`POST ${tokenPath}`, `status ${answer.status}`)
    const token = tokenSchema.safeParse(jsonOf(answer))
    if (!token.success) throw unexpected(`POST ${tokenPath}`, 'no access_token')
    return `Bearer ${token.data.access_token}`
  })

  async function get(path: string, signal: AbortSignal): Promise<HttpAnswer> {
    for (let isRetry = false; ; isRetry = true) {
      const authorization = await session.current(signal)
      const headers = { accept: 'application/xml', version: '4', authorization }
      const answer = await http.send({ method: 'GET', path: `${apiPath}${path}`, headers, signal })
      if (answer.status !== 401) return answer
      session.expired(authorization)
      if (isRetry || authorization.startsWith('Basic')) throw refused()
    }
  }

  async function readUnless(statuses: number[], path: string, signal: AbortSignal) {
    const request = `GET ${apiPath}${path}`
    const answer = await get(path, signal)
    if (answer.status === 200)
      return parseXml(answer.body, (reason, cause) => unexpected(request, `XML: ${reason}`, cause))
    if (statuses.includes(answer.status)) return undefined
    if (answer.status === 403) throw new AppError('platform_permission', { account, what: path, address })
    if (answer.status >= 502 && answer.status <= 504) throw new AppError('unavailable', { what: address })
    throw unexpected(request, `status ${answer.status}`)
  }

  /** Reads a path of machines with as many of their links as the engine follows. */
  async function readFollowing(statuses: number[], path: string, signal: AbortSignal) {
    for (;;) {
      const tried = followSet
      const follow = followSets[tried] ?? ''
      if (follow === '') return readUnless(statuses, path, signal)
      const separator = path.includes('?') ? '&' : '?'
      const answer = await readUnless([...statuses, 400], `${path}${separator}follow=${follow}`, signal)
      if (answer !== undefined || !(await isRefusedFollow(statuses, path, signal))) return answer
      followSet = Math.max(followSet, tried + 1)
    }
  }

  /** Tells an engine that refuses to follow from a machine that does not exist: the first answers without the wish. */
  async function isRefusedFollow(statuses: number[], path: string, signal: AbortSignal): Promise<boolean> {
    return (await readUnless(statuses, path, signal)) !== undefined
  }

  return {
    readUnless,
    read: async (path, signal) => (await readUnless([], path, signal)) as XmlElement,
    readMachine: (id, signal) => readFollowing([404], `/vms/${encodeURIComponent(id)}`, signal),
    readAll: async <T>(
      collection: string,
      name: string,
      convert: (element: XmlElement) => T | Promise<T>,
      signal: AbortSignal,
      onProgress?: (objects: number) => void,
    ): Promise<Collection<T>> => {
      const items = new Map<string, T>()
      const repeated = new Set<string>()
      for (let page = 1; page <= maxPages; page += 1) {
        const path = `/${collection}?search=${encodeURIComponent(`sortby name asc page ${page}`)}`
        const read = collection === 'vms' ? readFollowing : readUnless
        const elements = childrenOf(await read([], path, signal), name)
        const sizeBefore = items.size
        const converted = await mapConcurrent(
          elements,
          concurrentReads,
          signal,
          async (element): Promise<[string | undefined, T]> => [
            element.attributes.id,
            await convert(element),
          ],
        )
        // A copy: texts cut out of an answer would keep the whole answer in memory.
        for (const [id, item] of structuredClone(converted)) {
          if (id === undefined) throw unexpected(`GET ${apiPath}${path}`, `a ${name} without an id`)
          if (items.has(id)) repeated.add(id)
          items.set(id, item)
        }
        if (items.size === sizeBefore) return { items, repeated, pages: page - 1 }
        onProgress?.(items.size)
      }
      throw unexpected(`GET ${apiPath}/${collection}`, `more than ${maxPages} pages`)
    },
    close: async () => {
      const authorization = session.peek()
      if (authorization?.startsWith('Bearer ')) {
        const body = new URLSearchParams({
          scope: '',
          token: authorization.slice('Bearer '.length),
        }).toString()
        const headers = { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' }
        const signal = AbortSignal.timeout(signOutTimeoutMs)
        await http
          .send({ method: 'POST', path: signOutPath, headers, body, signal, recordAs: null })
          .catch((error) => options.logger.debug({ error, address }, 'signing out failed'))
      }
      http.close()
    },
  }
}

function jsonOf(answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body)
  } catch {
    return undefined
  }
}
