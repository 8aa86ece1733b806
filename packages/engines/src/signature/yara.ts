import { compile, type RuleMatch, type YaraX } from '@litko/yara-x'
import { AppError, type EngineFinding } from '@ringwall/contracts'
import { type Engine, excerptOf } from '../engine.ts'
import { engineVersions } from '../engine-versions.ts'

export type RuleFile = { name: string; source: string }

const maxMatchesPerPattern = 8
const maxMatchesPerFinding = 8

/** Modules that read nothing but the content. */
const bannedModules = ['console', 'cuckoo', 'vt'].map((name) => ({
  name,
  errorTitle: `module ${name}`,
  errorMessage: 'not available here',
}))

/** The rules as one program. Throws rule_invalid naming the file and what the compiler says. */
function compileRules(rules: readonly RuleFile[]): YaraX {
  try {
    const compiled = compile(rules.map(({ source }) => source).join('\n'), { bannedModules })
    compiled.setMaxMatchesPerPattern(maxMatchesPerPattern)
    return compiled
  } catch (whole) {
    for (const { name, source } of rules) {
      try {
        compile(source, { bannedModules })
      } catch (error) {
        throw new AppError('rule_invalid', { file: name, reason: firstLines(error) }, { cause: error })
      }
    }
    throw new AppError(
      'rule_invalid',
      { file: rules.map(({ name }) => name).join(', '), reason: firstLines(whole) },
      { cause: whole },
    )
  }
}

function firstLines(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n').slice(0, 6).join(' ').slice(0, 500)
}

function metaText(meta: Record<string, unknown>, name: string): string | undefined {
  const value = meta[name]
  return typeof value === 'string' ? value : undefined
}

function toFinding(match: RuleMatch): EngineFinding {
  const meta = match.meta as Record<string, unknown>
  const description = metaText(meta, 'description')
  return {
    engine: 'signature',
    rule: match.ruleIdentifier.slice(0, 120),
    title: (metaText(meta, 'title') ?? match.ruleIdentifier).slice(0, 200),
    category: (metaText(meta, 'category') ?? 'other').slice(0, 40),
    severity: metaText(meta, 'severity') === 'malicious' ? 'malicious' : 'suspicious',
    ...(description === undefined ? {} : { description: description.slice(0, 1000) }),
    matches: match.matches.slice(0, maxMatchesPerFinding).map(({ offset, length, identifier, data }) => ({
      offset,
      lengthBytes: length,
      identifier: identifier.slice(0, 120),
      excerpt: excerptOf(Buffer.from(data, 'latin1')),
    })),
  }
}

/**
 * The signature engine: YARA rules, compiled once. A rule's meta fields give its finding: title, category,
 * severity (`malicious`, else suspicious) and description. Throws rule_invalid.
 */
export function createYaraEngine(
  rules: readonly RuleFile[],
  version: string = engineVersions.signature,
): Engine {
  const compiled = compileRules(rules)
  return {
    id: 'signature',
    version,
    scan: ({ content }) => {
      const matches =
        content.kind === 'bytes'
          ? compiled.scan(
              Buffer.from(content.bytes.buffer, content.bytes.byteOffset, content.bytes.byteLength),
            )
          : compiled.scanFile(content.path)
      return matches.map(toFinding)
    },
  }
}

/** How many rules a source holds, for display. */
export function countRules(rules: readonly RuleFile[]): number {
  return rules.reduce(
    (sum, { source }) => sum + (source.match(/^\s*(?:(?:private|global)\s+)*rule\s+\w+/gm)?.length ?? 0),
    0,
  )
}
