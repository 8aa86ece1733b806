/**
 * The import table of docs/architecture.md as a test. A failure names the file and the import.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

type Rule = { workspaces: string[]; forbidden?: RegExp; only?: RegExp }

const database = /^(pg|kysely|fastify|@fastify\/.*)$/
const rules: Record<string, Rule> = {
  'packages/contracts': { workspaces: [], only: /^zod$/ },
  'packages/engines': {
    workspaces: ['contracts'],
    forbidden: /^node:(fs|net|tls|http|https|child_process|dgram)(\/.*)?$/,
  },
  'packages/platforms': { workspaces: ['contracts', 'runtime'] },
  'packages/runtime': { workspaces: ['contracts'], forbidden: database },
  'packages/kernel': { workspaces: ['contracts'], forbidden: database },
  'packages/postgres': { workspaces: ['contracts', 'runtime'] },
  'apps/center': { workspaces: ['contracts', 'engines', 'platforms', 'runtime', 'postgres'] },
  'apps/scanner': { workspaces: ['contracts', 'engines', 'runtime', 'kernel'], forbidden: database },
  'apps/agent': { workspaces: ['contracts', 'engines', 'runtime', 'kernel'], forbidden: database },
  'apps/cli': { workspaces: ['contracts', 'platforms', 'runtime'], forbidden: database },
  'apps/console': { workspaces: ['contracts'], forbidden: /^node:/ },
}

function* sourcesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* sourcesBelow(path)
    else if (/\.tsx?$/.test(entry.name)) yield path
  }
}

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s+(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g

function importsOf(path: string): string[] {
  return [...readFileSync(path, 'utf8').matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? '')
}

/** Why an import is not allowed; undefined when it is. Tests may import what they like outside the house. */
function offence(place: string, rule: Rule, file: string, name: string): string | undefined {
  const isTest = /\.test\.tsx?$|\/testing\//.test(file)
  if (name.startsWith('.')) {
    const target = relative(root, resolve(dirname(file), name))
    return target.startsWith(`${place}/`) ? undefined : 'reaches into another package'
  }
  const workspace = /^@ringwall\/([^/]+)(\/.*)?$/.exec(name)
  if (workspace !== null) {
    if (workspace[2] !== undefined) return "imports another package's inside"
    return rule.workspaces.includes(workspace[1] ?? '') ? undefined : 'is not in the import table'
  }
  if (isTest) return undefined
  if (rule.only !== undefined && !rule.only.test(name)) return 'may import nothing but zod'
  return rule.forbidden?.test(name) ? 'is forbidden here' : undefined
}

const sliceOf = (path: string) => /\/slices\/([^/]+)\//.exec(path)?.[1]

describe('import rules', () => {
  for (const [place, rule] of Object.entries(rules)) {
    const folder = join(root, place, 'src')
    const files = readdirSync(join(root, dirname(place))).includes(place.split('/')[1] ?? '')
      ? [...sourcesBelow(folder)]
      : []
    it(`${place} imports only what the table allows`, () => {
      const offences = files.flatMap((file) =>
        importsOf(file).flatMap((name) => {
          const why = offence(place, rule, file, name)
          return why === undefined ? [] : [`${relative(root, file)}: ${name} ${why}`]
        }),
      )
      expect(offences).toEqual([])
    })

    it(`${place}: slices do not import each other`, () => {
      const offences = files.flatMap((file) => {
        const own = sliceOf(file)
        if (own === undefined) return []
        return importsOf(file)
          .filter((name) => name.startsWith('.'))
          .map((name) => ({ name, other: sliceOf(`${resolve(dirname(file), name)}/`) }))
          .filter(({ other }) => other !== undefined && other !== own)
          .map(({ name }) => `${relative(root, file)}: ${name}`)
      })
      expect(offences).toEqual([])
    })
  }

  it('notices an import that is not allowed', () => {
    const file = join(root, 'apps/agent/src/x.ts')
    const rule = rules['apps/agent'] ?? { workspaces: [] }
    expect(offence('apps/agent', rule, file, '@ringwall/postgres')).toBe('is not in the import table')
    expect(offence('apps/agent', rule, file, 'kysely')).toBe('is forbidden here')
    expect(offence('apps/agent', rule, file, '../../center/src/main.ts')).toBe('reaches into another package')
    expect(offence('apps/agent', rule, file, '@ringwall/runtime/src/spool.ts')).toBe(
      "imports another package's inside",
    )
    expect(offence('apps/agent', rule, file, '@ringwall/runtime')).toBeUndefined()
  })
})
