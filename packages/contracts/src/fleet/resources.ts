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
  /** Times it was slowed at `memory.high` since its start, and killed at `memory.max` since the machine's. */
  memoryHighEvents: countSchema,
  memoryKills: countSchema,
  /** Of one processor; null without a limit. */
  cpuLimitPercent: z.number().nonnegative().nullable(),
  cpuThrottledPeriods: countSchema,
  cpuThrottledMs: countSchema,
  /** Shares among the services of its machine when they want more than there is; 100 is what others have. */
  cpuWeight: countSchema.nullable().default(null),
  ioWeight: countSchema.nullable().default(null),
  tasksMax: countSchema.nullable(),
  /** Threads and processes that could not be started at `pids.max`. */
  tasksRefused: countSchema.default(0),
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
