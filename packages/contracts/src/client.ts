import { problemSchema } from './common.ts'
import { AppError, type ErrorCode, errorCatalog } from './errors.ts'
import type { Route, RouteRequest, RouteResponse } from './route.ts'

/** What the client needs from its surroundings; `fetch` in a browser, an agent with a pinned CA on the command line. */
export type ClientTransport = (request: {
  method: string
  url: string
  headers: Record<string, string>
  body: string | undefined
  signal: AbortSignal | undefined
}) => Promise<{ status: number; text: string }>

export type ApiClient = <R extends Route>(
  route: R,
  request: RouteRequest<R> & { signal?: AbortSignal },
) => Promise<RouteResponse<R>>

function buildUrl(
  route: Route,
  params: Record<string, unknown> | undefined,
  query: Record<string, unknown> | undefined,
): string {
  const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(params?.[name] ?? '')),
  )
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== '') search.set(name, String(value))
  return `/api/v1${path}${search.size > 0 ? `?${search}` : ''}`
}

function toError(status: number, text: string): AppError {
  try {
    const problem = problemSchema.parse(JSON.parse(text))
    if (problem.code in errorCatalog) return new AppError(problem.code as ErrorCode, problem.params)
  } catch {
    // Not one of our answers: a proxy's page, or nothing at all.
  }
  return new AppError('unavailable', { what: `HTTP ${status}` })
}

/** A typed client of the API. Answers are validated; problems are thrown as AppError with their code and params. */
export function createApiClient(
  transport: ClientTransport,
  headers: () => Record<string, string> = () => ({}),
): ApiClient {
  return async (route, request) => {
    const { params, query, body, signal } = request as {
      params?: Record<string, unknown>
      query?: Record<string, unknown>
      body?: unknown
      signal?: AbortSignal
    }
    const text = body === undefined ? undefined : JSON.stringify(body)
    const answer = await transport({
      method: route.method,
      url: buildUrl(route, params, query),
      headers: {
        accept: 'application/json',
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers(),
      },
      body: text,
      signal,
    })
    if (answer.status >= 400) throw toError(answer.status, answer.text)
    return (
      route.response === undefined ? undefined : route.response.parse(JSON.parse(answer.text))
    ) as RouteResponse<typeof route>
  }
}
