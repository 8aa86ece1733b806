import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const sanitizers = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
const folder = join(import.meta.dirname, '../../c')

/** Builds the walker with the sanitizers of gcc; false where there is no compiler. */
export function compileWalker(output: string): boolean {
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(folder, name))
  const { status, error, stderr } = spawnSync('gcc', [
    '-std=c11',
    '-O1',
    '-Wall',
    '-Wextra',
    ...sanitizers,
    '-o',
    output,
    ...sources,
  ])
  if (error !== undefined) {
    process.stdout.write('no gcc: the helper is not tested\n')
    return false
  }
  if (status !== 0) throw new Error(String(stderr))
  return true
}
