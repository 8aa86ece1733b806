/** The error code of a pg or system error: an SQLSTATE such as `23505` or a name such as `ECONNREFUSED`. */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
])

/** What pg throws without a code when the server goes away or the pool cannot get a connection. */
const CONNECTION_MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired)/

/**
 * True when the database could not be reached or the connection was lost: the work may be tried again later.
 * SQLSTATE class 08, 57P01-57P05 (shutdown, crash, starting up) and 53300 (too many connections), system network
 * errors, and pg's own messages.
 */
export function isConnectionError(error: unknown): boolean {
  const code = codeOf(error)
  if (code !== undefined) return /^08|^57P0[1-5]$|^53300$/.test(code) || NETWORK_CODES.has(code)
  return error instanceof Error && CONNECTION_MESSAGES.test(error.message)
}

/** True for SQLSTATE 23505, of any unique constraint or of the one named. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (codeOf(error) !== '23505') return false
  if (constraint === undefined) return true
  return (
    typeof error === 'object' && error !== null && 'constraint' in error && error.constraint === constraint
  )
}

/** True when the database server has no space left (SQLSTATE 53100). */
export function isDiskFull(error: unknown): boolean {
  return codeOf(error) === '53100' || codeOf(error) === 'ENOSPC'
}
