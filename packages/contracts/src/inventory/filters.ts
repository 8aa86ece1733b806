import { z } from 'zod'
import { idSchema, nameSchema, timestampSchema } from '../common.ts'
import { defineRoutes } from '../route.ts'

/** A filter that somebody keeps: the query of a list, as the address of the page has it. */
export const savedFilterSchema = z.object({
  id: idSchema,
  list: z.enum(['machines', 'assets']),
  name: nameSchema,
  query: z.record(z.string().max(60), z.string().max(300)),
  /** Everyone sees it; its owner and administrators change it. */
  isShared: z.boolean(),
  ownerName: z.string(),
  isOwn: z.boolean(),
  createdAt: timestampSchema,
})
export type SavedFilter = z.infer<typeof savedFilterSchema>

const idParams = z.object({ id: idSchema })
const querySchema = savedFilterSchema.shape.query.refine(
  (query) => Object.keys(query).length <= 30,
  'at most 30 fields',
)
const filterAnswer = z.object({ filter: savedFilterSchema })

export const savedFilterRoutes = defineRoutes({
  listSavedFilters: {
    operationId: 'listSavedFilters',
    method: 'GET',
    path: '/saved-filters',
    access: 'assets.read',
    summary: 'Own and shared filters of a list, by name',
    query: z.object({ list: savedFilterSchema.shape.list.optional() }),
    response: z.object({ filters: z.array(savedFilterSchema) }),
  },
  createSavedFilter: {
    operationId: 'createSavedFilter',
    method: 'POST',
    path: '/saved-filters',
    access: 'assets.read',
    summary: 'Keep a filter; sharing it needs assets.write',
    body: z.strictObject({
      list: savedFilterSchema.shape.list,
      name: nameSchema,
      query: querySchema,
      isShared: z.boolean().default(false),
    }),
    response: filterAnswer,
    errors: ['conflict', 'forbidden'],
    audit: 'saved_filter.created',
  },
  updateSavedFilter: {
    operationId: 'updateSavedFilter',
    method: 'PATCH',
    path: '/saved-filters/{id}',
    access: 'assets.read',
    summary: 'Change a filter',
    params: idParams,
    body: z.strictObject({
      name: nameSchema.optional(),
      query: querySchema.optional(),
      isShared: z.boolean().optional(),
    }),
    response: filterAnswer,
    errors: ['not_found', 'conflict', 'forbidden'],
    audit: 'saved_filter.updated',
  },
  removeSavedFilter: {
    operationId: 'removeSavedFilter',
    method: 'DELETE',
    path: '/saved-filters/{id}',
    access: 'assets.read',
    summary: 'Remove a filter',
    params: idParams,
    errors: ['not_found'],
    audit: 'saved_filter.removed',
  },
})
