import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ContentPack, contentVersionOf, encodePack } from '@ringwall/engines'
import { sign } from '@ringwall/runtime'
import type { Content } from './core.ts'
import type { Pki } from './pki.ts'

function readFolder(dir: string, ending: string): { name: string; text: string }[] {
  if (!existsSync(dir)) return []
  const names = readdirSync(dir)
    .filter((name) => name.endsWith(ending))
    .sort()
  return names.map((name) => ({ name, text: readFileSync(join(dir, name), 'utf8') }))
}

/** Packs and signs the rules and hash lists in `contentDir`; undefined when there are none. */
export function buildContent(contentDir: string, pki: Pick<Pki, 'contentKey'>): Content | undefined {
  const rules = readFolder(join(contentDir, 'signatures'), '.yar').map(({ name, text }) => ({
    name,
    source: text,
  }))
  const hashLists = readFolder(join(contentDir, 'hashes'), '.txt')
  if (rules.length === 0 && hashLists.length === 0) return undefined
  const pack: ContentPack = { format: 1, version: contentVersionOf({ rules, hashLists }), rules, hashLists }
  const bytes = encodePack(pack)
  return {
    version: pack.version,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: bytes.length,
    signature: sign(pki.contentKey.privatePem, bytes),
    bytes,
  }
}
