import { z } from 'zod'
import { countSchema, idSchema, pathSchema, sha256Schema } from '../common.ts'
import { scanBackoffSchema, taskSlotSchema } from '../malware/slots.ts'

/** What an agent does with a malicious file. */
export const malwarePolicySchema = z.object({
  action: z.enum(['quarantine', 'report']).default('quarantine'),
  /** When the center cannot be asked for the prevalence of a file. */
  whenOffline: z.enum(['quarantine', 'hold']).default('quarantine'),
  /** More machines than this with one hash: the rest waits for a person. */
  prevalenceLimit: z.number().int().min(1).max(100_000).default(20),
  /** Share of one CPU that a scan may use, in percent. */
  cpuLimitPercent: z.number().int().min(5).max(400).default(100),
  /** Files larger than this are counted as skipped (too_large). */
  maxFileBytes: z
    .number()
    .int()
    .min(1)
    .max(1024 ** 5)
    .default(16 * 1024 ** 3),
  /** Path prefixes that no scan enters. */
  excludePaths: z.array(pathSchema).max(500).default([]),
})
export type MalwarePolicy = z.infer<typeof malwarePolicySchema>

export const scannerEndpointSchema = z.object({
  id: idSchema,
  /** Addresses to try, in order. */
  addresses: z
    .array(z.object({ host: z.string().max(253), port: z.number().int().min(1).max(65_535) }))
    .max(16),
})
export type ScannerEndpoint = z.infer<typeof scannerEndpointSchema>

const taskBase = { id: idSchema, state: z.enum(['run', 'cancel']) }

/** Work that a machine should have done. The agent remembers ended tasks until they leave the desired state. */
export const agentTaskSchema = z.discriminatedUnion('kind', [
  z.object({
    ...taskBase,
    kind: z.literal('scan'),
    paths: z.array(pathSchema).max(200),
    slot: taskSlotSchema.optional(),
    /** Instead of the policy's share. */
    cpuLimitPercent: z.number().int().min(5).max(400).optional(),
    backoff: scanBackoffSchema.optional(),
  }),
  z.object({
    ...taskBase,
    kind: z.literal('quarantine.restore'),
    quarantineId: idSchema,
    overwrite: z.boolean().default(false),
    targetPath: pathSchema.optional(),
  }),
  z.object({ ...taskBase, kind: z.literal('quarantine.delete'), quarantineId: idSchema }),
])
export type AgentTask = z.infer<typeof agentTaskSchema>

/** A person's word on a content: applies to what is found from now on and to what is held or quarantined. */
export const decisionSchema = z.object({ sha256: sha256Schema, decision: z.enum(['quarantine', 'allow']) })
export type Decision = z.infer<typeof decisionSchema>

/** What a machine should be. The center signs the JSON text; the agent keeps the last one that verified. */
export const desiredStateSchema = z.object({
  /** Grows with each change for this machine; an older one is refused. */
  version: countSchema,
  machineId: idSchema,
  policyRevision: countSchema,
  malware: malwarePolicySchema,
  scanners: z.array(scannerEndpointSchema).max(64),
  tasks: z.array(agentTaskSchema).max(1000),
  decisions: z.array(decisionSchema).max(10_000),
})
export type DesiredState = z.infer<typeof desiredStateSchema>

/** What a scanner should be: the content pack to load. */
export const desiredScannerStateSchema = z.object({
  version: countSchema,
  scannerId: idSchema,
  content: z
    .object({
      version: z.string().max(80),
      sha256: sha256Schema,
      sizeBytes: countSchema,
      signature: z.string().max(200),
    })
    .nullable(),
})
export type DesiredScannerState = z.infer<typeof desiredScannerStateSchema>
