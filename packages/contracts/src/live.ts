import { z } from 'zod'
import { idSchema } from './common.ts'
import { scanProgressSchema, scanStateSchema } from './malware/scan.ts'

/**
 * Live updates to the console: GET /api/v1/live, server-sent events with Last-Event-ID. A `changed` message says
 * which objects to read again; only scan progress carries its figures. After a gap that the server can no
 * longer fill it sends `reset`: read everything again.
 */
export const liveMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('changed'),
    object: z.enum([
      'machine',
      'scan',
      'finding',
      'quarantine',
      'alarm',
      'scanner',
      'enrolToken',
      'user',
      'policy',
      'platform',
      'asset',
      'pushJob',
      'hash',
      'cache',
      'allowEntry',
      'rejudge',
      'undo',
      'scanQueue',
      'schedule',
    ]),
    id: idSchema.nullable(),
  }),
  z.object({
    type: z.literal('scan.progress'),
    scanId: idSchema,
    machineId: idSchema,
    state: scanStateSchema,
    progress: scanProgressSchema,
  }),
  z.object({ type: z.literal('reset') }),
])
export type LiveMessage = z.infer<typeof liveMessageSchema>
