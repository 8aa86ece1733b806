import { join } from 'node:path'
import { type ContentParts, type ContentVersion, contentVersionSchema } from '@ringwall/contracts'
import { standingOf } from '@ringwall/engines'
import { readJsonFile, writeJsonFile } from '@ringwall/runtime'
import { z } from 'zod'

const maxVersions = 60_000
/** Before parts were known, versions were texts. */
const storedSchema = z
  .array(
    z.union([
      contentVersionSchema,
      z
        .string()
        .max(80)
        .transform((version) => ({ version, parts: null })),
    ]),
  )
  .max(maxVersions)

export const standings = { unknown: 0, stale: 1, current: 2 } as const

/** The content versions that verdicts name by number, and what each is worth under the one in use. */
export function openContentVersions(dir: string) {
  const path = join(dir, 'versions.json')
  const versions: ContentVersion[] = readJsonFile(path, storedSchema) ?? []
  const numbers = new Map(versions.map(({ version }, number) => [version, number]))
  let current = -1
  let worth = new Uint8Array(versions.length)

  function weigh(): void {
    const parts = versions[current]?.parts ?? null
    worth = Uint8Array.from(versions, (other, number) =>
      number === current ? standings.current : parts === null ? 0 : standings[standingOf(other.parts, parts)],
    )
  }

  function numberOf(wanted: ContentVersion): number {
    const known = numbers.get(wanted.version)
    if (known !== undefined && (versions[known]?.parts !== null || wanted.parts === null)) return known
    const number = known ?? versions.length
    versions[number] = wanted
    numbers.set(wanted.version, number)
    writeJsonFile(path, versions)
    weigh()
    return number
  }

  return {
    /** The number of a version, given one when it is new. */
    numberOf,
    /** The version that verdicts are made with from now on. */
    use: (version: string, parts: ContentParts) => {
      current = numberOf({ version, parts })
      weigh()
    },
    current: () => current,
    at: (number: number): ContentVersion => versions[number] ?? { version: '', parts: null },
    /** One of `standings`. */
    worth: (number: number): number => worth[number] ?? standings.unknown,
  }
}
export type ContentVersions = ReturnType<typeof openContentVersions>
