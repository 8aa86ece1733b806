import type { z } from 'zod'
import type { ErrorCode } from './errors.ts'
import type { Permission } from './permissions.ts'

/**
 * A route is data: the center binds a handler to it, the console and the command line derive a typed client
 * from it, and openapi.json is generated from it.
 *
 * `access`: a permission, `signed-in` (any user, also before the first password change), or `public`.
 */
export type Route = {
  readonly operationId: string
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  /** Below /api/v1, params as `{name}`. */
  readonly path: string
  readonly access: Permission | 'signed-in' | 'public'
  readonly summary: string
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly body?: z.ZodObject
  /** Largest body; 1 MiB where a route says nothing. */
  readonly maxBodyBytes?: number
  /** The JSON answer; absent means 204. */
  readonly response?: z.ZodType
  /** Codes this route answers with, beside those that any route can. */
  readonly errors?: readonly ErrorCode[]
  /** What the audit log records; every route that writes has one. */
  readonly audit?: string
}

/** Keeps the literal types of a group of routes while checking their shape. */
export function defineRoutes<const T extends Record<string, Route>>(routes: T): T {
  return routes
}

type Output<T> = T extends z.ZodType ? z.output<T> : undefined
type Input<T> = T extends z.ZodType ? z.input<T> : undefined

/** What a handler of this route gets, after validation. */
export type RouteInput<R extends Route> = {
  params: Output<R['params']>
  query: Output<R['query']>
  body: Output<R['body']>
}
/** What a client of this route passes. */
export type RouteRequest<R extends Route> = (R['params'] extends z.ZodType
  ? { params: Input<R['params']> }
  : { params?: undefined }) &
  (R['query'] extends z.ZodType ? { query?: Input<R['query']> } : { query?: undefined }) &
  (R['body'] extends z.ZodType ? { body: Input<R['body']> } : { body?: undefined })
/** What a client of this route gets back. */
export type RouteResponse<R extends Route> = R['response'] extends z.ZodType
  ? z.output<R['response']>
  : undefined
