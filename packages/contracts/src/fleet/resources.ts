import { z } from 'zod'
import { countSchema } from '../common.ts'

/** Limits that the system holds an agent to, and what they did; cgroup v2 (kernel Documentation/admin-guide/cgroup-v2.rst). */
export const agentCapsSchema = z.object({
  /** Its cgroup, below the mount point. */
  cgroup: z.string().max(500),
  memoryBytes: countSchema,
  memoryPeakBytes: countSchema.nullable(),
  memoryHighBytes: countSchema.nullable(),
  memoryMaxBytes: countSchema.nullable(),
  /** Times it was slowed at `memory.high`, and killed at `memory.max`. */
  memoryHighEvents: countSchema,
  memoryKills: countSchema,
  /** Of one processor; null without a limit. */
  cpuLimitPercent: z.number().nonnegative().nullable(),
  cpuThrottledPeriods: countSchema,
  cpuThrottledMs: countSchema,
  tasksMax: countSchema.nullable(),
})
export type AgentCaps = z.infer<typeof agentCapsSchema>

/** What one part of an agent uses. */
export const moduleUsageSchema = z.object({
  module: z.enum(['core', 'link', 'scan', 'realtime']),
  /** Of one processor, since the last heartbeat. */
  cpuPercent: z.number().nonnegative(),
  /** JavaScript memory of its thread, or resident memory of its process; null where it shares a thread. */
  memoryBytes: countSchema.nullable(),
  eventsPerSecond: z.number().nonnegative(),
})
export type ModuleUsage = z.infer<typeof moduleUsageSchema>
