import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { AppError } from '@ringwall/contracts'

type Schema<T> = { safeParse: (value: unknown) => { success: true; data: T } | { success: false } }

/** Whether an error of the file system says that no space is left (or the quota is used up). */
export function isDiskFullError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string | Buffer): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function writeAll(file: number, data: Uint8Array): void {
  for (let offset = 0; offset < data.length; ) offset += writeSync(file, data, offset)
}

/**
 * Replaces a file as a whole: after a crash at any moment it holds the old or the new content. Throws disk_full
 * with the old content untouched.
 */
export function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number } = {},
): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = openSync(temporary, 'wx', 0o600)
    try {
      // Not at open, where the umask would take some of it away.
      if (options.mode !== undefined) fchmodSync(file, options.mode)
      writeAll(file, typeof data === 'string' ? Buffer.from(data) : data)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    syncDirectory(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    if (isDiskFullError(error)) throw new AppError('disk_full', { path: dirname(path) }, { cause: error })
    throw error
  }
}

/** Removes what a kill left of files that were being replaced; nobody may be writing in `dir`. */
export function removeUnfinishedFiles(dir: string): void {
  for (const name of readdirSync(dir))
    if (/\.[0-9a-f]{12}\.tmp$/.test(name)) rmSync(join(dir, name), { force: true })
}

/** Writes a value as JSON, atomically. */
export function writeJsonFile(path: string, value: unknown, options: { mode?: number } = {}): void {
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`, options)
}

/** Reads JSON that has a schema. Undefined when there is no file; file_damaged when it is not what it should be. */
export function readJsonFile<T>(path: string, schema: Schema<T>): T | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AppError('file_damaged', { path, reason: 'not JSON' }, { cause })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new AppError('file_damaged', { path, reason: 'not the expected fields' })
  return parsed.data
}

/** Makes a directory that only its owner may enter. */
export function makePrivateDirectory(path: string): void {
  // Parents can be passed, not listed: another account's folder, as that of the database, may lie beside ours.
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 })
  mkdirSync(path, { recursive: true, mode: 0o700 })
}
