import { existsSync } from 'node:fs'
import { join } from 'node:path'

const helperName = 'ringwall-guard'

/** Where the helper lies: beside the bundle that runs, or where the build puts it for the sources. */
export function findHelper(): string {
  const bundled = join(import.meta.dirname, helperName)
  return existsSync(bundled) ? bundled : join(import.meta.dirname, '../../../dist', helperName)
}
