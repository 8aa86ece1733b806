import type { Engine } from './engine.ts'
import { buildHashSets, createHashEngine, type HashSet, parseHashList } from './signature/hash-set.ts'
import type { ContentPack } from './signature/pack.ts'
import { countRules, createYaraEngine } from './signature/yara.ts'

export type LoadedContent = { version: string; engines: Engine[]; rules: number; hashes: number }

/** The SHA-256 lists of a content, which need no bytes to be asked; undefined when there is none. Throws list_invalid. */
export function sha256Set(pack: Pick<ContentPack, 'hashLists'>): HashSet | undefined {
  const entries = pack.hashLists.flatMap(({ name, text }) => parseHashList(text, name))
  return buildHashSets(entries).find(({ hashBytes }) => hashBytes === 32)
}

/**
 * The engines of a content pack, in the order in which they run. A new engine is added here and nowhere else.
 * Throws rule_invalid or list_invalid, naming what is wrong.
 */
export function loadEngines(pack: ContentPack): LoadedContent {
  const sets = buildHashSets(pack.hashLists.flatMap(({ name, text }) => parseHashList(text, name)))
  return {
    version: pack.version,
    engines: [createHashEngine(sets), createYaraEngine(pack.rules)],
    rules: countRules(pack.rules),
    hashes: sets.reduce((sum, { count }) => sum + count, 0),
  }
}
