/** A tree for scans that are disturbed: the same for the same seed, with a bit of everything that a scan meets. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { createRandom } from '@ringwall/platforms'
import { eicar } from './harness.ts'

/** Larger files are skipped by the policy of these scans. */
export const maxFileBytes = 256 * 1024
const programs = 40
const infected = 60
/** As many of each: links, pipes, files that are too large, files without a permission (which root does not need). */
const skippedEach = 4
const sharedContents = 60

/** Programs of this machine, of a moderate size. */
function somePrograms(): string[] {
  return readdirSync('/usr/bin')
    .sort()
    .map((name) => join('/usr/bin', name))
    .filter((path) => {
      const stat = statSync(path, { throwIfNoEntry: false })
      return stat?.isFile() === true && stat.size > 8 * 1024 && stat.size < maxFileBytes
    })
    .slice(0, programs)
}

/** The test file with white space behind it, which it may have: each number is another content. */
const eicarVariant = (index: number) =>
  Buffer.concat([eicar, Buffer.from(`${' '.repeat(index % 25)}${'\t'.repeat(Math.floor(index / 25))}`)])

/** Makes a tree of about `files` files below `root`. */
export function growTree(root: string, files: number, seed: number): void {
  const random = createRandom(seed)
  const place = (name: string) => {
    const path = join(root, String(random.below(30)), String(random.below(4)), name)
    mkdirSync(dirname(path), { recursive: true })
    return path
  }
  for (let index = 0; index < files; index += 1) {
    const text =
      random.below(2) === 0 ? `shared ${random.below(sharedContents)}\n` : `unique ${seed} ${index}\n`
    writeFileSync(place(`text-${index}`), text.repeat(1 + random.below(2) * 40))
  }
  for (let index = 0; index < infected; index += 1) {
    writeFileSync(place(`bad-${index}`), eicarVariant(index))
    if (index % 6 === 0) writeFileSync(place(`bad-copy-${index}`), eicarVariant(index))
  }
  for (const [index, path] of somePrograms().entries()) copyFileSync(path, place(`program-${index}`))
  for (let index = 0; index < skippedEach; index += 1) {
    symlinkSync('nowhere', place(`link-${index}`))
    execFileSync('mkfifo', [place(`pipe-${index}`)])
    const large = place(`large-${index}`)
    writeFileSync(large, '')
    truncateSync(large, maxFileBytes + 1 + index)
    const closed = place(`closed-${index}`)
    writeFileSync(closed, `closed ${index}`)
    chmodSync(closed, 0)
  }
}
