import { join } from 'node:path'
import { caHashSchema, idSchema } from '@ringwall/contracts'
import { readJsonFile, writeJsonFile } from '@ringwall/runtime'
import { z } from 'zod'

const templateSchema = z.object({
  /** The machine that was sealed: the parent of every machine made from it. */
  templateId: idSchema,
  sealedAt: z.string(),
  /** How a copy enrols by itself, where the token was kept. */
  enrol: z.object({ center: z.string(), caHash: caHashSchema, token: z.string() }).nullable(),
})
export type Template = z.infer<typeof templateSchema>

const pathIn = (dir: string) => join(dir, 'template.json')

/** What a sealed image knows of itself; undefined on any other machine. Throws file_damaged. */
export function readTemplate(dir: string): Template | undefined {
  return readJsonFile(pathIn(dir), templateSchema)
}

export function writeTemplate(dir: string, template: Template): void {
  writeJsonFile(pathIn(dir), template, { mode: 0o600 })
}
