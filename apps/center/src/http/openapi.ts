import { apiRoutes, type ErrorCode, errorCatalog, problemSchema, type Route } from '@ringwall/contracts'
import { z } from 'zod'

type Json = Record<string, unknown>

function toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    target: 'draft-2020-12',
  }) as Json
  return rest
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = toJsonSchema(schema, 'input') as {
    properties?: Record<string, Json>
    required?: string[]
  }
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }))
}

const anyRouteErrors: ErrorCode[] = ['invalid_request', 'internal', 'database_unavailable']
const guardedErrors: ErrorCode[] = ['unauthenticated', 'forbidden', 'password_change_required']

function responsesOf(route: Route): Json {
  const codes = [
    ...new Set([
      ...anyRouteErrors,
      ...(route.access === 'public' ? [] : guardedErrors),
      ...(route.errors ?? []),
    ]),
  ]
  const byStatus = Map.groupBy(codes, (code) => errorCatalog[code].status)
  const problems = [...byStatus]
    .sort(([a], [b]) => a - b)
    .map(([status, group]) => [
      String(status),
      {
        description: group.join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ])
  const success =
    route.response === undefined
      ? ['204', { description: 'Done' }]
      : [
          '200',
          {
            description: 'OK',
            content: { 'application/json': { schema: toJsonSchema(route.response, 'output') } },
          },
        ]
  return Object.fromEntries([success, ...problems])
}

function operationOf(route: Route): Json {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')]
  return {
    operationId: route.operationId,
    summary: route.summary,
    tags: [route.path.split('/')[1]],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: toJsonSchema(route.body, 'input') } },
          },
        }),
    responses: responsesOf(route),
    'x-access': route.access,
    ...(route.access === 'public' ? { security: [] } : {}),
  }
}

/** OpenAPI 3.1 of the whole API, from the contracts; the same input gives the same document. */
export function buildOpenApi(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const route of Object.values(apiRoutes) as Route[]) {
    paths[`/api/v1${route.path}`] = {
      ...paths[`/api/v1${route.path}`],
      [route.method.toLowerCase()]: operationOf(route),
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Ringwall 环墙',
      version,
      description:
        'One API for the console, the command line and your own programs. Lists are paged by cursor; errors are RFC 9457 problems with a stable code and params.',
    },
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1))),
    components: {
      schemas: { Problem: toJsonSchema(problemSchema, 'output') },
      securitySchemes: {
        apiToken: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'ringwall_session' },
      },
    },
    security: [{ apiToken: [] }, { session: [] }],
  }
}
