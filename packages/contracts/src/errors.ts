/**
 * The one catalog of errors. A code is stable: the console and the command line translate it, tests name it,
 * operators search for it. `message` is the English fallback; `{name}` stands for a param.
 */
export const errorCatalog = {
  // requests
  invalid_request: { status: 400, message: 'The request is not valid: {problems}.' },
  unknown_field: { status: 400, message: 'Unknown field {field}.' },
  invalid_cursor: { status: 400, message: 'The cursor is not valid.' },
  not_found: { status: 404, message: '{kind} {id} does not exist.' },
  conflict: { status: 409, message: '{kind} {id} already exists.' },
  state_conflict: { status: 409, message: '{kind} {id} is {state}; this needs {needed}.' },
  body_too_large: { status: 413, message: 'The body is larger than {maxBytes} bytes.' },
  unsupported_media_type: { status: 415, message: 'The content type {contentType} is not accepted.' },
  too_many_requests: { status: 429, message: 'Too many requests. Try again in {retryAfterSeconds} s.' },
  internal: { status: 500, message: 'An internal error happened. Its id is {errorId}.' },
  unavailable: { status: 503, message: '{what} is not available now.' },
  aborted: { status: 499, message: 'The work was cancelled.' },
  timeout: { status: 504, message: '{what} did not answer within {timeoutMs} ms.' },
  // access
  unauthenticated: { status: 401, message: 'Sign in first.' },
  wrong_credentials: { status: 401, message: 'The user name or the password is wrong.' },
  password_change_required: { status: 403, message: 'Choose your own password first.' },
  password_too_weak: {
    status: 400,
    message:
      'The password needs at least {minLength} characters and must not be well known or the user name.',
  },
  forbidden: { status: 403, message: 'Your role does not have the permission {permission}.' },
  csrf_failed: { status: 403, message: 'The request did not come from this console.' },
  login_throttled: { status: 429, message: 'Too many failed sign-ins. Try again in {retryAfterSeconds} s.' },
  last_administrator: { status: 409, message: '{name} is the last active administrator.' },
  audit_broken: { status: 500, message: 'The audit log is broken at entry {seq}: {reason}.' },
  // enrolment and link
  token_invalid: { status: 401, message: 'The enrolment token is not known.' },
  token_expired: { status: 401, message: 'The enrolment token expired at {expiredAt}.' },
  token_exhausted: {
    status: 401,
    message: 'The enrolment token was used {maxUses} times, which is its limit.',
  },
  token_revoked: { status: 401, message: 'The enrolment token was revoked.' },
  token_role_mismatch: {
    status: 401,
    message: 'The enrolment token is for a {tokenRole}, not for a {role}.',
  },
  csr_invalid: { status: 400, message: 'The certificate request is not valid: {reason}.' },
  certificate_revoked: { status: 401, message: 'The certificate {serial} was revoked.' },
  certificate_required: { status: 401, message: 'A client certificate of this center is required.' },
  ca_mismatch: {
    status: 495,
    message: 'The server at {address} has a CA with the hash {actual}, expected {expected}.',
  },
  certificate_untrusted: { status: 495, message: 'The certificate of {address} is not trusted: {reason}.' },
  clock_skew: {
    status: 495,
    message:
      'The certificate of {address} is valid from {notBefore} to {notAfter}, but the clock of this machine says {now}. Set the clock.',
  },
  enrolment_admission: {
    status: 429,
    message: 'The center is admitting as many machines as it can. Try again in {retryAfterSeconds} s.',
  },
  already_enrolled: {
    status: 409,
    message: 'This {role} is enrolled already, as {id}. Remove its state in {path} first.',
  },
  not_enrolled: { status: 409, message: 'This {role} is not enrolled. Enrol it with a token first.' },
  message_invalid: { status: 400, message: 'The message {type} is not valid: {problems}.' },
  message_too_large: { status: 413, message: 'The message is larger than {maxBytes} bytes.' },
  protocol_version: {
    status: 426,
    message: 'Protocol version {version} is not spoken here; this side speaks {supported}.',
  },
  // content and scanning
  content_invalid: { status: 400, message: 'The content pack is not valid: {reason}.' },
  rule_invalid: { status: 400, message: 'The rule file {file} does not compile: {reason}.' },
  list_invalid: { status: 400, message: 'Line {line} of {list} is not valid: {reason}.' },
  signature_invalid: { status: 400, message: 'The signature of {what} does not verify.' },
  version_rollback: { status: 409, message: '{what} {version} is older than {current} and was refused.' },
  hash_mismatch: { status: 422, message: 'The content hashes to {actual}, not to {expected}.' },
  upload_truncated: { status: 400, message: 'The upload ended after {received} of {expected} bytes.' },
  content_too_large: { status: 413, message: 'The content has {sizeBytes} bytes; the limit is {maxBytes}.' },
  scanner_busy: {
    status: 503,
    message: 'The scanner has as much work as it accepts. Try again in {retryAfterSeconds} s.',
  },
  no_scanner: { status: 503, message: 'No scanner can be reached.' },
  scan_path_invalid: { status: 400, message: 'The path {path} cannot be scanned: {reason}.' },
  // allow-list
  allow_value_invalid: { status: 400, message: '{value} cannot be allowed: {reason}.' },
  time_zone_unknown: { status: 400, message: 'The time zone {timeZone} is not known.' },
  lineage_circle: { status: 409, message: '{parent} was itself made from {machine}.' },
  group_empty: { status: 409, message: 'No machine is in the group of {name}.' },
  // quarantine
  quarantine_changed: { status: 409, message: '{path} changed since it was judged and was left in place.' },
  quarantine_protected: {
    status: 409,
    message: '{path} belongs to Ringwall itself and is never quarantined.',
  },
  quarantine_deleted: { status: 410, message: 'The vault entry {id} was deleted for good.' },
  quarantine_damaged: { status: 500, message: 'The vault entry {id} is damaged: {reason}.' },
  restore_target_exists: {
    status: 409,
    message: '{path} exists already; restore elsewhere or move it first.',
  },
  restore_directory_missing: { status: 409, message: 'The directory of {path} no longer exists.' },
  // platforms
  platform_address_invalid: { status: 400, message: 'The address {address} cannot be used: {reason}.' },
  platform_login_failed: { status: 422, message: 'The platform {address} refused the account {account}.' },
  platform_answer_invalid: {
    status: 502,
    message: 'The platform {address} answered {request} with something unexpected: {reason}.',
  },
  platform_permission: {
    status: 422,
    message: 'The account {account} may not read {what} on {address}; see the page of this platform.',
  },
  platform_kind_unavailable: { status: 400, message: 'There is no connector for {kind} in this version.' },
  platform_fingerprint_missing: {
    status: 400,
    message: 'The fingerprint of {address} was not accepted. Compare and accept it first.',
  },
  platform_credentials_kind: {
    status: 400,
    message: 'A platform of kind {kind} does not take credentials of kind {credentialKind}.',
  },
  platform_credentials_lost: {
    status: 409,
    message: 'The credentials of {name} cannot be opened with the key of this center. Enter them again.',
  },
  csv_invalid: { status: 400, message: 'The CSV text is not valid at line {line}: {reason}.' },
  // protection of unprotected machines
  agent_package_missing: {
    status: 409,
    message: 'The center has no agent package to hand out. Make it with: npm run package:agent.',
  },
  asset_without_address: { status: 409, message: 'No address of {name} is known. Give one.' },
  push_unsupported: { status: 409, message: 'The agent cannot be pushed to {name}: {reason}.' },
  ssh_host_key_changed: {
    status: 495,
    message: 'The SSH host key of {address} is {actual}, but {expected} was accepted before.',
  },
  ssh_login_failed: { status: 422, message: '{address} refused the SSH account {account}.' },
  ssh_command_failed: { status: 502, message: 'On {address}, {step} failed: {reason}.' },
  // real-time protection
  realtime_unavailable: { status: 503, message: 'This machine cannot watch its files: {reason}.' },
  journal_incomplete: { status: 409, message: 'Not every change since then is known: {reason}.' },
  // storage
  disk_full: { status: 507, message: 'No space is left at {path}.' },
  file_damaged: { status: 500, message: 'The file {path} is damaged: {reason}.' },
  database_unavailable: { status: 503, message: 'The database is not available: {reason}.' },
  database_unsafe: {
    status: 500,
    message: 'The database runs with {setting} off; acknowledged data would not survive a power cut.',
  },
  database_not_found: { status: 500, message: 'No PostgreSQL 15 or newer was found. Looked in: {searched}.' },
  database_newer: {
    status: 500,
    message: 'The database was written by a newer version (unknown migrations: {keys}).',
  },
  // configuration
  config_invalid: { status: 500, message: 'The configuration is not valid: {problems}.' },
  port_in_use: { status: 500, message: '{address} is in use by another program.' },
  command_failed: { status: 500, message: '{command} failed: {reason}.' },
} as const satisfies Record<string, { status: number; message: string }>

export type ErrorCode = keyof typeof errorCatalog
export type ErrorParams = Record<string, string | number | boolean>

export const errorCodes = Object.keys(errorCatalog) as [ErrorCode, ...ErrorCode[]]

/** The English text of an error, with its params filled in. */
export function errorMessage(code: ErrorCode, params: ErrorParams = {}): string {
  return errorCatalog[code].message.replace(/\{(\w+)\}/g, (whole, name: string) =>
    String(params[name] ?? whole),
  )
}

/** The one error type that crosses module borders. `cause` is for the log and never leaves the process. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly params: ErrorParams

  constructor(code: ErrorCode, params: ErrorParams = {}, options: { cause?: unknown } = {}) {
    super(errorMessage(code, params), options)
    this.name = 'AppError'
    this.code = code
    this.params = params
  }

  get status(): number {
    return errorCatalog[this.code].status
  }
}

/** Whether `error` is an AppError, optionally of one code. */
export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code)
}
