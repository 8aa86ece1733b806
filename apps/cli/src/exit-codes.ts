import { AppError } from '@ringwall/contracts'

/** What a script can rely on; docs/operations.md lists them. */
export const exitCodes = {
  ok: 0,
  /** Something failed; the message says what. */
  failed: 1,
  /** The command was called wrongly. */
  usage: 2,
  /** The scan ended and found something. */
  found: 3,
  /** Not signed in, or not allowed. */
  denied: 4,
  /** The center, the scanner or the machine cannot be reached. */
  unreachable: 5,
  /** The audit log is broken. */
  broken: 6,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof AppError)) return exitCodes.failed
  if (
    [
      'unauthenticated',
      'forbidden',
      'wrong_credentials',
      'password_change_required',
      'login_throttled',
    ].includes(error.code)
  )
    return exitCodes.denied
  if (['unavailable', 'timeout', 'database_unavailable', 'no_scanner'].includes(error.code))
    return exitCodes.unreachable
  return error.status === 400 ? exitCodes.usage : exitCodes.failed
}
