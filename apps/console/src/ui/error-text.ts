import { AppError, errorText } from '@ringwall/contracts'
import { currentLanguage } from '../app/i18n.ts'

/** An error in the user's language; a failed fetch has no code and is said as unavailable. */
export function errorToText(error: unknown): string {
  const known = error instanceof AppError ? error : new AppError('unavailable', { what: location.host })
  return errorText(known.code, known.params, currentLanguage())
}
