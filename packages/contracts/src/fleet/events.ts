import { z } from 'zod'
import { countSchema, idSchema, pathSchema, sha256Schema, timestampSchema } from '../common.ts'
import {
  agentFindingSchema,
  findingStateSchema,
  holdReasonSchema,
  scanProgressSchema,
} from '../malware/scan.ts'
import { sharingLimits } from '../malware/sharing.ts'

/** Classes of spooled records, in the order in which they are kept when the spool is full: alerts go last. */
export const eventClasses = ['alert', 'event', 'inventory'] as const
export type EventClass = (typeof eventClasses)[number]

const base = { id: idSchema, at: timestampSchema }

/**
 * What an agent reports for good: spooled on its disk, delivered in order, committed once.
 * A type the center does not know is kept, counted and shown as unknown; fields are only ever added.
 */
export const agentEventSchema = z.discriminatedUnion('type', [
  z.object({ ...base, type: z.literal('scan.started'), scanId: idSchema }),
  /** The machine gave its slot back, or lost it; the scan stands where it is. */
  z.object({
    ...base,
    type: z.literal('scan.paused'),
    scanId: idSchema,
    leaseId: idSchema.nullable(),
    reason: z.enum(['released', 'lease_lapsed']),
  }),
  z.object({ ...base, type: z.literal('scan.resumed'), scanId: idSchema, leaseId: idSchema.nullable() }),
  z.object({
    ...base,
    type: z.literal('scan.ended'),
    scanId: idSchema,
    outcome: z.enum(['completed', 'cancelled', 'failed']),
    errorCode: z.string().max(60).nullable(),
    progress: scanProgressSchema,
  }),
  z.object({ ...base, type: z.literal('finding.detected'), finding: agentFindingSchema }),
  z.object({
    ...base,
    type: z.literal('finding.changed'),
    findingId: idSchema,
    state: findingStateSchema,
    holdReason: holdReasonSchema.nullable(),
    quarantineId: idSchema.nullable(),
    errorCode: z.string().max(60).nullable(),
    /** The path it was restored to. */
    path: pathSchema.optional(),
  }),
  z.object({
    ...base,
    type: z.literal('quarantine.added'),
    quarantineId: idSchema,
    findingId: idSchema.nullable(),
    path: pathSchema,
    sha256: sha256Schema,
    sizeBytes: countSchema,
  }),
  /** A hunt is over: how many files of each content were found, and what became of them. */
  z.object({
    ...base,
    type: z.literal('hunt.ended'),
    taskId: idSchema,
    contents: z
      .array(z.object({ sha256: sha256Schema, files: countSchema, quarantined: countSchema }))
      .max(sharingLimits.maxTaskHashes),
  }),
  /** Contents that were asked for: brought to a scanner, or not to be had here any more. */
  z.object({
    ...base,
    type: z.literal('content.brought'),
    taskId: idSchema,
    brought: countSchema,
    missing: z.array(sha256Schema).max(sharingLimits.maxTaskHashes),
  }),
  z.object({
    ...base,
    type: z.literal('agent.problem'),
    code: z.string().max(60),
    params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    active: z.boolean(),
  }),
  /** A manifest could not be used and is made anew. */
  z.object({
    ...base,
    type: z.literal('manifest.rebuilt'),
    scanId: idSchema,
    mountPoint: pathSchema,
    reason: z.enum(['damaged', 'clock_jump', 'unlike', 'mismatch']),
  }),
  /** The manifest of another machine proved true of a file system here: the two are copies of one disk. */
  z.object({
    ...base,
    type: z.literal('manifest.adopted'),
    scanId: idSchema,
    mountPoint: pathSchema,
    machineId: idSchema,
    checkedFiles: countSchema,
  }),
  /** A file that counted as unchanged has another content than the manifest says: everything is hashed again. */
  z.object({
    ...base,
    type: z.literal('manifest.mismatch'),
    scanId: idSchema,
    path: pathSchema,
    recordedSha256: sha256Schema,
    actualSha256: sha256Schema,
  }),
  /** Records that a limit forced out of the spool: shown as a gap in the machine's timeline. */
  z.object({
    ...base,
    type: z.literal('spool.gap'),
    fromSeq: countSchema,
    toSeq: countSchema,
    count: countSchema,
    class: z.enum(eventClasses),
  }),
])
export type AgentEvent = z.infer<typeof agentEventSchema>
export type AgentEventType = AgentEvent['type']
