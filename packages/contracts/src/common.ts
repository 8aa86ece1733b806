import { z } from 'zod'

/** Field shapes that several slices share. Every string has a limit: a schema is also a budget. */
export const idSchema = z.uuid()
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits')
export const timestampSchema = z.iso.datetime({ offset: true })
export const nameSchema = z.string().trim().min(1).max(120)
export const textSchema = z.string().max(4000)
/** A path as `encodePath` makes it. 4096 bytes may need four characters each. */
export const pathSchema = z.string().min(1).max(16_384)
export const countSchema = z.number().int().nonnegative()
export const sizeBytesSchema = z.number().int().nonnegative()

export const pageQuerySchema = z.object({
  cursor: z.string().max(500).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(50),
})

/** A page of a list. `nextCursor` is null on the last page; `total` counts what the filter matches. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable(), total: countSchema })
}

/** A query flag: `true` or `false` in the address. */
export const flagSchema = z.enum(['true', 'false']).transform((text) => text === 'true')

/** RFC 9457 problem details, with our stable code and its params for translation. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().optional(),
  instance: z.string().optional(),
  code: z.string(),
  params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
})
export type Problem = z.infer<typeof problemSchema>
