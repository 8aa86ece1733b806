import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type ContentPack, contentVersionOf, encodePack } from '@ringwall/engines'
import { type Logger, sign } from '@ringwall/runtime'
import type { Content } from './core.ts'
import type { Pki } from './pki.ts'

function readFolder(dir: string, ending: string): { name: string; text: string }[] {
  if (!existsSync(dir)) return []
  const names = readdirSync(dir)
    .filter((name) => name.endsWith(ending))
    .sort()
  return names.map((name) => ({ name, text: readFileSync(join(dir, name), 'utf8') }))
}

/** Changes whenever a file of the content may have: names, sizes and times. */
function fingerprint(contentDir: string): string {
  return ['signatures', 'hashes']
    .flatMap((folder) => {
      const dir = join(contentDir, folder)
      if (!existsSync(dir)) return []
      return readdirSync(dir)
        .sort()
        .map((name) => {
          const { size, mtimeMs } = statSync(join(dir, name))
          return `${folder}/${name}:${size}:${mtimeMs}`
        })
    })
    .join('\n')
}

/**
 * Follows the content folder: builds a pack when a file changed. One that cannot be built is told once, and the last
 * good one stays.
 */
export function createContentSource(
  contentDir: string,
  pki: Pick<Pki, 'contentKey'>,
  logger: Pick<Logger, 'error' | 'info'>,
) {
  let seen: string | undefined
  let content: Content | undefined
  return {
    /** The content after a look at the folder, and whether it is another than before. */
    look: (): { content: Content | undefined; isNew: boolean } => {
      const now = fingerprint(contentDir)
      if (now === seen) return { content, isNew: false }
      seen = now
      try {
        const next = buildContent(contentDir, pki)
        const isNew = next?.version !== content?.version
        content = next
        if (isNew) logger.info({ version: next?.version }, 'a new content')
        return { content, isNew }
      } catch (error) {
        logger.error({ error }, 'the content cannot be used; the last good one stays')
        return { content, isNew: false }
      }
    },
  }
}

/** Packs and signs the rules and hash lists in `contentDir`; undefined when there are none. Throws list_invalid. */
function buildContent(contentDir: string, pki: Pick<Pki, 'contentKey'>): Content | undefined {
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
