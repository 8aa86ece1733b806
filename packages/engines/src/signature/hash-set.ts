import { createHash } from 'node:crypto'
import { AppError, type EngineFinding } from '@ringwall/contracts'
import type { Engine } from '../engine.ts'
import { engineVersions } from '../engine-versions.ts'

const algorithms = { 16: 'md5', 20: 'sha1', 32: 'sha256' } as const
type HashBytes = keyof typeof algorithms

export type HashEntry = { hash: string; name: string }

/** Hashes of one algorithm: sorted fixed-width records, found by binary search; no object for an entry. */
export type HashSet = {
  hashBytes: HashBytes
  count: number
  /** The name of the hash that stands in `hash` at `at`. */
  find: (hash: Uint8Array, at?: number) => string | undefined
  /** Whether a hash begins with the bytes in `source` from `at` to `end`. */
  hasPrefix: (source: Uint8Array, at: number, end: number) => boolean
  /** The hashes in order, as views of one buffer. */
  hashes: () => Generator<Buffer>
}

/**
 * Reads a list of hashes, one a line: ClamAV's `hash:size:name` (.hdb, .hsb), or `hash name`. Empty lines and
 * `#` comments are skipped. Throws list_invalid naming the line.
 */
export function parseHashList(text: string, list: string): HashEntry[] {
  return text.split('\n').flatMap((raw, index) => {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) return []
    const match =
      /^([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})(?::(?:\d+|\*):|\s+)([^\s:][^:]*?)(?::\d+)*$/.exec(
        line,
      )
    if (match?.[1] === undefined || match[2] === undefined)
      throw new AppError('list_invalid', { list, line: index + 1, reason: 'expected a hash and a name' })
    return [{ hash: match[1].toLowerCase(), name: match[2].slice(0, 120) }]
  })
}

/** Builds one set for each algorithm that occurs. Of entries with one hash the first wins. */
export function buildHashSets(entries: readonly HashEntry[]): HashSet[] {
  return ([16, 20, 32] as const).flatMap((hashBytes) => {
    const own = entries.filter(({ hash }) => hash.length === hashBytes * 2)
    return own.length === 0 ? [] : [buildHashSet(own, hashBytes)]
  })
}

function buildHashSet(entries: readonly HashEntry[], hashBytes: HashBytes): HashSet {
  const names = [...new Set(entries.map(({ name }) => name))]
  const nameIndex = new Map(names.map((name, index) => [name, index]))
  const unique = [...new Map([...entries].reverse().map((entry) => [entry.hash, entry])).values()].sort(
    (a, b) => (a.hash < b.hash ? -1 : 1),
  )
  const table = Buffer.alloc(unique.length * hashBytes)
  const nameOf = new Uint32Array(unique.length)
  unique.forEach(({ hash, name }, index) => {
    table.write(hash, index * hashBytes, 'hex')
    nameOf[index] = nameIndex.get(name) ?? 0
  })
  /** The record that begins with the bytes in `source` from `at` to `end`; -1 when there is none. */
  const indexOf = (source: Uint8Array, at: number, end: number): number => {
    let low = 0
    let high = unique.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = table.compare(source, at, end, middle * hashBytes, middle * hashBytes + end - at)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
  return {
    hashBytes,
    count: unique.length,
    find: (hash, at = 0) => {
      const index = indexOf(hash, at, at + hashBytes)
      return index < 0 ? undefined : names[nameOf[index] ?? 0]
    },
    hasPrefix: (source, at, end) => indexOf(source, at, end) >= 0,
    hashes: function* () {
      for (let offset = 0; offset < table.length; offset += hashBytes)
        yield table.subarray(offset, offset + hashBytes)
    },
  }
}

/** What the hash engine says of a content that is on a list. */
export function hashFinding(algorithm: 'md5' | 'sha1' | 'sha256', hash: string, name: string): EngineFinding {
  return {
    engine: 'hash',
    rule: `${algorithm}:${hash}`,
    title: name,
    category: 'hash',
    severity: 'malicious',
    matches: [],
  }
}

/** The hash engine: exact matches of the whole content. MD5 and SHA-1 are only computed when a set needs them. */
export function createHashEngine(sets: readonly HashSet[], version: string = engineVersions.hash): Engine {
  return {
    id: 'hash',
    version,
    scan: ({ content, sha256 }) => {
      for (const set of sets) {
        const algorithm = algorithms[set.hashBytes]
        // Older algorithms only speak for contents in memory: reading a huge file again costs more than it finds.
        if (algorithm !== 'sha256' && content.kind !== 'bytes') continue
        const hash =
          algorithm === 'sha256'
            ? Buffer.from(sha256, 'hex')
            : createHash(algorithm)
                .update(content.kind === 'bytes' ? content.bytes : '')
                .digest()
        const name = set.find(hash)
        if (name === undefined) continue
        return [hashFinding(algorithm, hash.toString('hex'), name)]
      }
      return []
    },
  }
}
