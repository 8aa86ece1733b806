import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { AppError } from '@ringwall/contracts'
import { z } from 'zod'
import { contentPartsOf, versionOfParts } from '../content-parts.ts'

/** A pack is unpacked within this budget. */
const maxPackBytes = 512 * 1024 * 1024

const packSchema = z.object({
  format: z.literal(1),
  version: z.string().regex(/^[\w.+-]{1,80}$/),
  rules: z
    .array(z.object({ name: z.string().max(200), source: z.string().max(16 * 1024 * 1024) }))
    .max(10_000),
  hashLists: z.array(z.object({ name: z.string().max(200), text: z.string() })).max(1000),
})

/** Rules and hash lists as they travel from the center to the scanners. Who receives one verifies its signature first. */
export type ContentPack = z.infer<typeof packSchema>

/** The version of a content, with the engines of this program. Throws list_invalid. */
export function contentVersionOf(content: Pick<ContentPack, 'rules' | 'hashLists'>): string {
  return versionOfParts(contentPartsOf(content))
}

export function encodePack(pack: ContentPack): Buffer {
  return zstdCompressSync(JSON.stringify(packSchema.parse(pack)))
}

/** Opens a pack within its budget. Throws content_invalid. */
export function decodePack(bytes: Uint8Array): ContentPack {
  try {
    return packSchema.parse(
      JSON.parse(zstdDecompressSync(bytes, { maxOutputLength: maxPackBytes }).toString()),
    )
  } catch (cause) {
    const reason =
      cause instanceof z.ZodError ? z.prettifyError(cause).slice(0, 300) : 'it cannot be unpacked'
    throw new AppError('content_invalid', { reason }, { cause })
  }
}
