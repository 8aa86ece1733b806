/** The API of Proxmox VE: signing in and reading. Nothing here writes. */
import { AppError } from '@ringwall/contracts'
import { z } from 'zod'
import { createPinnedHttp, type HttpAnswer, parseHttpsAddress } from '../http.ts'
import { createSession } from '../session.ts'
import type { ConnectorOptions } from '../types.ts'

export const defaultPort = 8006
const basePath = '/api2/json'

export type ProxmoxClient = {
  /** `data` of the answer. Errors: platform_login_failed, platform_permission, platform_answer_invalid, unavailable, timeout. */
  read: <T>(path: string, schema: z.ZodType<T>, signal: AbortSignal) => Promise<T>
  /** The same, but undefined for an answer with one of these states. */
  readUnless: <T>(
    statuses: number[],
    path: string,
    schema: z.ZodType<T>,
    signal: AbortSignal,
  ) => Promise<T | undefined>
  close: () => void
}

const ticketSchema = z.object({
  data: z.object({ ticket: z.string().min(1), NeedTFA: z.union([z.literal(0), z.literal(1)]).optional() }),
})

export function createProxmoxClient(options: ConnectorOptions): ProxmoxClient {
  const { credentials, fingerprint } = options
  const { host, port } = parseHttpsAddress(options.address, defaultPort)
  const address = `${host}:${port}`
  if (fingerprint === undefined)
    throw new AppError('certificate_untrusted', { address, reason: 'no fingerprint was accepted yet' })
  if (credentials.kind !== 'token' && credentials.kind !== 'password')
    throw new AppError('platform_login_failed', { address, account: credentials.kind })
  const account = credentials.kind === 'token' ? credentials.tokenId : credentials.username
  const http = createPinnedHttp({ host, port, ...options, fingerprint })

  const session = createSession(async (signal): Promise<Record<string, string>> => {
    if (credentials.kind === 'token')
      return { authorization: `PVEAPIToken=${credentials.tokenId}=${credentials.secret}` }
    const answer = await http.send({
      method: 'POST',
      path: `${basePath}/access/ticket`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        username: credentials.username,
        password: credentials.password,
      }).toString(),
      signal,
      recordAs: null,
    })
    if (answer.status === 401) throw new AppError('platform_login_failed', { address, account })
    const request = 'POST /access/ticket'
    if (answer.status !== 200) throw unexpected(request, `status ${answer.status}`)
    const { data } = parse(request, answer, ticketSchema)
    // A second factor cannot be answered by a service: such an account needs an API token.
    if (data.NeedTFA === 1) throw new AppError('platform_login_failed', { address, account })
    return { cookie: `PVEAuthCookie=${encodeURIComponent(data.ticket)}` }
  })

  const unexpected = (request: string, reason: string) =>
    new AppError('platform_answer_invalid', { address, request, reason })

  function parse<T>(request: string, answer: HttpAnswer, schema: z.ZodType<T>): T {
    let json: unknown
    try {
      json = JSON.parse(answer.body)
    } catch {
      throw unexpected(request, 'not JSON, or cut off')
    }
    const result = schema.safeParse(json)
    if (result.success) return result.data
    const issue = result.error.issues[0]
    throw unexpected(request, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'another shape'}`)
  }

  async function get(path: string, signal: AbortSignal): Promise<HttpAnswer> {
    for (let isRetry = false; ; isRetry = true) {
      const headers = await session.current(signal)
      const answer = await http.send({ method: 'GET', path: `${basePath}${path}`, headers, signal })
      if (answer.status !== 401) return answer
      // Tickets end after two hours; a token or a fresh ticket that is refused stays refused.
      session.expired(headers)
      if (isRetry || credentials.kind === 'token')
        throw new AppError('platform_login_failed', { address, account })
    }
  }

  async function readUnless<T>(statuses: number[], path: string, schema: z.ZodType<T>, signal: AbortSignal) {
    const request = `GET ${path}`
    const answer = await get(path, signal)
    if (answer.status === 200) return parse(request, answer, z.object({ data: schema })).data
    if (statuses.includes(answer.status)) return undefined
    if (answer.status === 403) throw new AppError('platform_permission', { account, what: path, address })
    if (answer.status >= 502 && answer.status <= 504) throw new AppError('unavailable', { what: address })
    throw unexpected(request, `status ${answer.status}`)
  }

  return {
    readUnless,
    read: async <T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> =>
      (await readUnless([], path, schema, signal)) as T,
    close: () => http.close(),
  }
}
