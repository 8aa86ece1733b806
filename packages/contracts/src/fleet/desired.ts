import { z } from 'zod'
import { countSchema, idSchema, pathSchema, sha256Schema, timestampSchema } from '../common.ts'
import { cacheFlushSchema, huntedContentSchema, sharingLimits } from '../malware/sharing.ts'
import { scanBackoffSchema, taskSlotSchema } from '../malware/slots.ts'

/** What is held until it is known to be clean, while the machine works. */
export const realtimePolicySchema = z.object({
  /** Programs before they run, or every file before it is opened, too. */
  mode: z.enum(['off', 'exec', 'exec-and-open']).default('exec'),
  /** A file larger than maxJudgeBytes that nobody knows: runs while it is judged, or waits up to a minute. */
  unknownLarge: z.enum(['allow-and-judge', 'hold']).default('allow-and-judge'),
  maxJudgeBytes: z
    .number()
    .int()
    .min(1)
    .max(512 * 1024 ** 2)
    .default(32 * 1024 ** 2),
  /** How long a process may wait for a verdict. */
  budgetMs: z.number().int().min(50).max(30_000).default(3_000),
  /** When no scanner can judge, or not within the budget: the file runs and is judged later, or it does not run. */
  whenScannerAway: z.enum(['allow', 'deny']).default('allow'),
  /** Programs whose processes are never held, by the path of the program. */
  excludeProcesses: z.array(pathSchema).max(200).default([]),
  excludeHashes: z.array(sha256Schema).max(1000).default([]),
})
export type RealtimePolicy = z.infer<typeof realtimePolicySchema>

/** What an agent does with a malicious file. */
export const malwarePolicySchema = z.object({
  action: z.enum(['quarantine', 'report']).default('quarantine'),
  /** When the center cannot be asked for the prevalence of a file. */
  whenOffline: z.enum(['quarantine', 'hold']).default('quarantine'),
  /** More machines than this with one hash: the rest waits for a person. */
  prevalenceLimit: z.number().int().min(1).max(100_000).default(20),
  /** Share of one CPU that a scan may use, in percent. With more than 100 it walks with two threads. */
  cpuLimitPercent: z.number().int().min(5).max(400).default(150),
  /** Files larger than this are counted as skipped (too_large). */
  maxFileBytes: z
    .number()
    .int()
    .min(1)
    .max(1024 ** 5)
    .default(16 * 1024 ** 3),
  /** Of a thousand files that did not change since they were judged, how many a scan hashes again at random. */
  rehashSharePermille: z.number().min(0).max(1000).default(5),
  /** Path prefixes that no scan enters and where nothing is held. */
  excludePaths: z.array(pathSchema).max(500).default([]),
  realtime: realtimePolicySchema.prefault({}),
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
  /** Contents that turned out bad: find them here without a scan, and do what the policy says. */
  z.object({
    ...taskBase,
    kind: z.literal('hunt'),
    contents: z.array(huntedContentSchema).max(sharingLimits.maxTaskHashes),
  }),
  /** Contents to bring to a scanner once more, because the rules changed. */
  z.object({
    ...taskBase,
    kind: z.literal('content.bring'),
    sha256s: z.array(sha256Schema).max(sharingLimits.maxTaskHashes),
  }),
])
export type AgentTask = z.infer<typeof agentTaskSchema>

/** A person's word on a content: applies to what is found from now on and to what is held or quarantined. */
export const decisionSchema = z.object({ sha256: sha256Schema, decision: z.enum(['quarantine', 'allow']) })
export type Decision = z.infer<typeof decisionSchema>

/**
 * What is never taken away: a content, files whose path fits a pattern (`*` within a name, `**` across names), or
 * unmodified files of a signer (a system package such as `dpkg:coreutils`).
 */
export const allowKinds = ['hash', 'path', 'signer'] as const
export const allowanceSchema = z.object({
  kind: z.enum(allowKinds),
  value: z.string().min(1).max(1000),
  expiresAt: timestampSchema.nullable(),
})
export type Allowance = z.infer<typeof allowanceSchema>

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
  allowances: z.array(allowanceSchema).max(2_000).default([]),
  /** The machine that this one was made from: its manifests may be taken over where this one has none. */
  manifestParent: idSchema.nullable().default(null),
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
  flushes: z.array(cacheFlushSchema).max(200).default([]),
})
export type DesiredScannerState = z.infer<typeof desiredScannerStateSchema>
