import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** As many signatures for ClamAV as we have rules: strings that our rules look for, and our hashes. */
export function writeSignatures(folder: string): number {
  mkdirSync(folder)
  const texts = readdirSync(join(root, 'content/signatures')).flatMap((name) =>
    [...readFileSync(join(root, 'content/signatures', name), 'utf8').matchAll(/^rule (\w+)/gm)].map(
      (match) => match[1] ?? '',
    ),
  )
  const body = texts.map(
    (name, index) => `Bench.${name}:0:*:${createHash('sha256').update(`${name}${index}`).digest('hex')}`,
  )
  writeFileSync(join(folder, 'bench.ndb'), `${body.join('\n')}\n`)
  return body.length
}
