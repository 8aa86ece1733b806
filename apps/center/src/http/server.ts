import { createReadStream, existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import cookie from '@fastify/cookie'
import fastifyStatic from '@fastify/static'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { AppError, apiRoutes, type OperationId, type Route, roleHas } from '@ringwall/contracts'
import { type Clock, type Logger, TokenBucket } from '@ringwall/runtime'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Caller, Handlers, RequestContext } from '../app/slice.ts'
import type { Audit } from '../core/core.ts'
import type { LiveHub } from '../core/live.ts'
import type { ServerCertificate } from '../core/pki.ts'
import { serveLive } from './live-route.ts'
import { buildOpenApi } from './openapi.ts'
import { toAppError, toProblem, validationError } from './problems.ts'

export const agentPackageUrlPath = '/downloads/ringwall-agent.tar.gz'
export const sessionCookie = 'ringwall_session'
const bodyLimitBytes = 1024 * 1024
const requestsPerSecond = 200
const requestBurst = 600
const maxRememberedAddresses = 50_000

/** How the access slice tells who calls. */
export type Authenticate = (request: {
  sessionToken: string | undefined
  bearer: string | undefined
}) => Promise<(Caller & { mustChangePassword: boolean }) | undefined>

export type HttpOptions = {
  handlers: Handlers
  authenticate: Authenticate
  audit: Audit
  live: LiveHub
  logger: Logger
  clock: Clock
  version: string
  consoleDir: string
  agentPackagePath: string
  certificate: ServerCertificate | undefined
}

const securityHeaders = {
  'content-security-policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
}

function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1]
}

/** A write of a browser session must carry its token and come from this origin. */
function checkCsrf(request: FastifyRequest, caller: Caller): void {
  if (caller.via !== 'session' || request.method === 'GET') return
  const origin = request.headers.origin
  const isSameOrigin = origin === undefined || origin === `https://${request.headers.host}`
  if (!isSameOrigin || request.headers['ringwall-csrf'] !== caller.csrfToken)
    throw new AppError('csrf_failed')
}

/** The console's and everyone's HTTPS server: routes of the contracts, live updates, API page, static console. */
export async function createHttpServer(options: HttpOptions): Promise<FastifyInstance> {
  const { handlers, authenticate, audit, logger } = options
  const tls = options.certificate
  const app = fastify({
    bodyLimit: bodyLimitBytes,
    logger: false,
    https: tls === undefined ? null : { key: tls.keyPem, cert: tls.certificatePem, minVersion: 'TLSv1.2' },
  })
  const buckets = new Map<string, TokenBucket>()
  const admit = (address: string): number => {
    if (buckets.size > maxRememberedAddresses) buckets.clear()
    const bucket =
      buckets.get(address) ??
      new TokenBucket({ perSecond: requestsPerSecond, burst: requestBurst, clock: options.clock })
    buckets.set(address, bucket)
    return bucket.take()
  }

  const sendProblem = (known: AppError, reply: FastifyReply): void => {
    const retryAfter = known.params.retryAfterSeconds
    if (retryAfter !== undefined) void reply.header('retry-after', String(retryAfter))
    void reply.status(known.status).type('application/problem+json').send(toProblem(known))
  }
  app.setErrorHandler((error, request, reply) =>
    sendProblem(toAppError(error, logger, request.routeOptions.bodyLimit), reply),
  )
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers(
      request.url.startsWith('/api/docs')
        ? {
            ...securityHeaders,
            'content-security-policy': "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'",
          }
        : securityHeaders,
    )
    const waitMs = /^\/(api|downloads)\//.test(request.url) ? admit(request.ip) : 0
    if (waitMs > 0) throw new AppError('too_many_requests', { retryAfterSeconds: Math.ceil(waitMs / 1000) })
  })
  await app.register(cookie)

  async function authorise(route: Route, request: FastifyRequest): Promise<Caller | undefined> {
    const caller = await authenticate({
      sessionToken: request.cookies[sessionCookie],
      bearer: bearerOf(request),
    })
    if (route.access === 'public') return undefined
    if (caller === undefined) throw new AppError('unauthenticated')
    checkCsrf(request, caller)
    if (route.access === 'signed-in') return caller
    if (caller.mustChangePassword) throw new AppError('password_change_required')
    if (!roleHas(caller.role, route.access)) throw new AppError('forbidden', { permission: route.access })
    return caller
  }

  async function handle(
    id: OperationId,
    route: Route,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<void> {
    let caller: Caller | undefined
    const noted: Parameters<RequestContext['audit']>[0] = {}
    const record = async (outcome: 'ok' | 'refused' | 'failed', details: Record<string, unknown> = {}) => {
      if (route.audit === undefined) return
      const { actor = caller?.name ?? 'anonymous', objectKind, objectId, details: more } = noted
      await audit.append({
        actor,
        action: route.audit,
        objectKind,
        objectId,
        outcome,
        address: request.ip,
        details: { ...more, ...details },
      })
    }
    try {
      caller = await authorise(route, request)
      const parse = (schema: Route['query'], value: unknown) => {
        const parsed = schema?.safeParse(value ?? {})
        if (parsed?.success === false) throw validationError(parsed.error)
        return parsed?.data
      }
      const input = {
        params: parse(route.params, request.params),
        query: parse(route.query, request.query),
        body: parse(route.body, request.body),
      }
      if (input.params?.id !== undefined) noted.objectId = String(input.params.id)
      const context: RequestContext = {
        caller,
        address: request.ip,
        audit: (entry) => Object.assign(noted, entry),
        setSessionCookie: (token) => {
          if (token === undefined) void reply.clearCookie(sessionCookie, { path: '/' })
          else
            void reply.setCookie(sessionCookie, token, {
              path: '/',
              httpOnly: true,
              secure: true,
              sameSite: 'strict',
            })
        },
      }
      const answer = await (handlers[id] as (input: unknown, context: RequestContext) => Promise<unknown>)(
        input,
        context,
      )
      await record('ok')
      if (route.response === undefined) void reply.status(204).send()
      else void reply.header('cache-control', 'no-store').send(route.response.parse(answer))
    } catch (error) {
      // Recorded first: who has the answer may read the entry.
      const known = toAppError(error, logger)
      await record(known.status < 500 ? 'refused' : 'failed', { error: known.code }).catch((cause: unknown) =>
        logger.error({ error: cause }, 'an audit entry could not be written'),
      )
      sendProblem(known, reply)
    }
  }

  for (const [id, route] of Object.entries(apiRoutes) as [OperationId, Route][]) {
    if (handlers[id] === undefined) throw new TypeError(`no slice handles ${id}`)
    const url = `/api/v1${route.path.replace(/\{(\w+)\}/g, ':$1')}`
    app.route({
      method: route.method,
      url,
      bodyLimit: route.maxBodyBytes ?? bodyLimitBytes,
      handler: async (request, reply) => {
        await handle(id, route, request, reply)
        return reply
      },
    })
  }
  app.get('/api/v1/live', async (request, reply) => {
    const caller = await authenticate({
      sessionToken: request.cookies[sessionCookie],
      bearer: bearerOf(request),
    })
    if (caller === undefined) throw new AppError('unauthenticated')
    serveLive(options.live, request, reply)
  })
  const document = buildOpenApi(options.version)
  app.get('/api/v1/openapi.json', async () => document)
  await app.register(swagger, { mode: 'static', specification: { document: document as never } })
  await app.register(swaggerUi, { routePrefix: '/api/docs' })
  serveAgentPackage(app, options.agentPackagePath)
  await serveConsole(app, options.consoleDir)
  return app
}

/** The agent to install, for everyone: it holds no secret, and who downloads it compares the hash of the install command. */
function serveAgentPackage(app: FastifyInstance, path: string): void {
  app.get(agentPackageUrlPath, async (_request, reply) => {
    const found = await stat(path).catch(() => undefined)
    if (found === undefined) throw new AppError('agent_package_missing')
    return await reply
      .type('application/gzip')
      .header('content-length', found.size)
      .send(createReadStream(path, { start: 0, end: found.size - 1 }))
  })
}

async function serveConsole(app: FastifyInstance, dir: string): Promise<void> {
  const isBuilt = existsSync(join(dir, 'index.html'))
  if (isBuilt) {
    await app.register(fastifyStatic, {
      root: dir,
      wildcard: false,
      setHeaders: (response, path) => {
        // Names of assets carry a hash of their content.
        void response.header(
          'cache-control',
          path.includes('/static/') ? 'public, max-age=31536000, immutable' : 'no-cache',
        )
      },
    })
  }
  app.setNotFoundHandler((request, reply) => {
    if (
      isBuilt &&
      request.method === 'GET' &&
      !request.url.startsWith('/api/') &&
      !request.url.startsWith('/static/')
    )
      return reply.sendFile('index.html')
    const error = new AppError('not_found', { kind: 'page', id: request.url.slice(0, 200) })
    return reply.status(404).type('application/problem+json').send(toProblem(error))
  })
}
