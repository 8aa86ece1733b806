import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = process.env.RINGWALL_SHARED_DATA ?? join(import.meta.dirname, '../../../../../shared/data')

/** A recording of a real platform, read where it lies; undefined, with a message, where it is absent. */
export function recording(path: string): unknown {
  const file = join(folder, 'connectors', path)
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
  process.stderr.write(`skipped: the recording ${path} is not in ${folder} (set RINGWALL_SHARED_DATA)\n`)
  return undefined
}
