import { AppError, type ErrorCode, errorCatalog, type StoredError } from '@ringwall/contracts'
import { errorToText } from './error-text.ts'

/** An error that the center kept, in the user's language; an unknown code of a newer center shows as it is. */
export function StoredErrorText({ error }: { error: StoredError }) {
  const text =
    error.code in errorCatalog ? errorToText(new AppError(error.code as ErrorCode, error.params)) : error.code
  return <span className="break">{text}</span>
}
