import { createHash } from 'node:crypto'
import type { ContentParts } from '@ringwall/contracts'
import { engineVersions } from './engine-versions.ts'
import { parseHashList } from './signature/hash-set.ts'

const sha256Digits = 64

type ContentSources = {
  rules: readonly { name: string; source: string }[]
  hashLists: readonly { name: string; text: string }[]
}

const digest = (texts: Iterable<string>): string => {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text)
  return hash.digest('hex').slice(0, 16)
}

/** What a content is made of, judged by the engines of this program. Throws list_invalid. */
export function contentPartsOf({ rules, hashLists }: ContentSources): ContentParts {
  const entries = hashLists.flatMap(({ name, text }) => parseHashList(text, name))
  const linesOf = (isSha256: boolean) =>
    entries
      .filter(({ hash }) => (hash.length === sha256Digits) === isSha256)
      .map(({ hash, name }) => `${hash}\0${name}\0`)
  return {
    hashes: digest(linesOf(true)),
    legacyHashes: digest(linesOf(false)),
    rules: Object.fromEntries(rules.map(({ name, source }) => [name, digest([source])])),
    engines: { ...engineVersions },
  }
}

const flatten = ({ hashes, legacyHashes, rules, engines }: ContentParts): Map<string, string> =>
  new Map([
    ['hashes', hashes],
    ['legacyHashes', legacyHashes],
    ...Object.entries(rules).map(([name, version]) => [`rules:${name}`, version] as const),
    ...Object.entries(engines).map(([name, version]) => [`engines:${name}`, version] as const),
  ])

/** The version of a content: a short hash of its parts, so that the same content has the same version everywhere. */
export function versionOfParts(parts: ContentParts): string {
  return digest(
    [...flatten(parts)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, version]) => `${name}\0${version}\0`),
  )
}

/** Names of the parts that differ, such as `hashes`, `rules:webshells.yar`, `engines:signature`; sorted. */
export function changedParts(before: ContentParts | null, after: ContentParts): string[] {
  const old = before === null ? new Map<string, string>() : flatten(before)
  const now = flatten(after)
  return [...new Set([...old.keys(), ...now.keys()])].filter((name) => old.get(name) !== now.get(name)).sort()
}

/** Whether one part of a content, named as in `changedParts`, has this version there. */
export function partVersion(parts: ContentParts, name: string): string | undefined {
  return flatten(parts).get(name)
}

/**
 * What a verdict of content `before` is worth under `after`: `current`, as nothing that needs the bytes changed;
 * `stale`, when rules or engines did; `unknown`, when nobody remembers what it was made of.
 */
export function standingOf(
  before: ContentParts | null,
  after: ContentParts,
): 'current' | 'stale' | 'unknown' {
  if (before === null) return 'unknown'
  return changedParts(before, after).every((name) => name === 'hashes') ? 'current' : 'stale'
}
