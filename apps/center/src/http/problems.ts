import { randomUUID } from 'node:crypto'
import { AppError, errorCatalog, type Problem } from '@ringwall/contracts'
import { isConnectionError, isDiskFull } from '@ringwall/postgres'
import type { Logger } from '@ringwall/runtime'
import { z } from 'zod'

/** Problems of a zod error in words: an unknown field is named as such. */
export function validationError(error: z.ZodError): AppError {
  const unknown = error.issues.find((issue) => issue.code === 'unrecognized_keys')
  if (unknown?.code === 'unrecognized_keys')
    return new AppError('unknown_field', { field: [...unknown.path, unknown.keys[0] ?? ''].join('.') })
  const problems = error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`)
  return new AppError('invalid_request', { problems: problems.join('; ') })
}

function fastifyCode(error: unknown, maxBytes: number): AppError | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new AppError('body_too_large', { maxBytes })
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new AppError('unsupported_media_type', { contentType: '?' })
  if (error.code === 'FST_ERR_CTP_INVALID_JSON_BODY' || error.code === 'FST_ERR_CTP_EMPTY_JSON_BODY')
    return new AppError('invalid_request', { problems: 'body: not JSON' })
  if ('statusCode' in error && error.statusCode === 400)
    return new AppError('invalid_request', { problems: error.message.slice(0, 200) })
  return undefined
}

/** Any error as one of the catalog. What is not expected gets an id and goes to the log, never to the caller. */
export function toAppError(error: unknown, logger: Logger, maxBodyBytes = 1024 * 1024): AppError {
  if (error instanceof AppError) return error
  if (error instanceof z.ZodError) return validationError(error)
  if (isDiskFull(error)) return new AppError('disk_full', { path: 'database' }, { cause: error })
  if (isConnectionError(error))
    return new AppError('database_unavailable', { reason: 'no connection' }, { cause: error })
  const known = fastifyCode(error, maxBodyBytes)
  if (known !== undefined) return known
  const errorId = randomUUID()
  logger.error({ error, errorId }, 'unexpected error')
  return new AppError('internal', { errorId }, { cause: error })
}

/** RFC 9457 problem details. */
export function toProblem(error: AppError): Problem {
  return {
    type: `urn:ringwall:error:${error.code}`,
    title: error.message,
    status: errorCatalog[error.code].status,
    code: error.code,
    params: error.params,
  }
}
