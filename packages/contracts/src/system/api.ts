import { z } from 'zod'
import { alarmSchema } from '../alarms/api.ts'
import { countSchema, timestampSchema } from '../common.ts'
import { scanSchema } from '../malware/api.ts'
import { defineRoutes } from '../route.ts'

export const componentHealthSchema = z.object({
  name: z.string(),
  state: z.enum(['ok', 'degraded', 'down']),
  /** Error or problem code, translated by the console. */
  code: z.string().nullable(),
  params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
})

export const overviewSchema = z.object({
  machines: z.object({
    total: countSchema,
    protected: countSchema,
    degraded: countSchema,
    unreachable: countSchema,
    physical: countSchema,
    virtual: countSchema,
    cloud: countSchema,
  }),
  findings: z.object({
    open: countSchema,
    held: countSchema,
    quarantined: countSchema,
    last24Hours: countSchema,
  }),
  /** Findings of the last 14 days, oldest first, in UTC days. */
  findingsByDay: z.array(z.object({ day: z.string(), malicious: countSchema, suspicious: countSchema })),
  scans: z.object({ running: countSchema, completed24Hours: countSchema, latest: z.array(scanSchema) }),
  alarms: z.object({ open: countSchema, critical: countSchema, latest: z.array(alarmSchema) }),
  /** What needs a person now, most urgent first. `kind` is translated; `count` is what the link shows. */
  needsMe: z.array(
    z.object({
      kind: z.enum([
        'findings_held',
        'findings_failed',
        'findings_reported',
        'alarms_critical',
        'machines_unreachable',
        'machines_degraded',
        'no_scanner',
        'no_machines',
      ]),
      count: countSchema,
    }),
  ),
})
export type Overview = z.infer<typeof overviewSchema>

export const aboutSchema = z.object({
  name: z.string(),
  version: z.string(),
  startedAt: timestampSchema,
  node: z.string(),
  database: z.object({ version: z.string(), isManaged: z.boolean(), isEvaluation: z.boolean() }),
  contentVersion: z.string().nullable(),
  caHash: z.string(),
})

export const systemRoutes = defineRoutes({
  getOverview: {
    operationId: 'getOverview',
    method: 'GET',
    path: '/overview',
    access: 'machines.read',
    summary: 'What the first page shows',
    response: overviewSchema,
  },
  getAbout: {
    operationId: 'getAbout',
    method: 'GET',
    path: '/about',
    access: 'signed-in',
    summary: 'Versions',
    response: aboutSchema,
  },
  getHealth: {
    operationId: 'getHealth',
    method: 'GET',
    path: '/health',
    access: 'system.read',
    summary: 'Health of every part',
    response: z.object({
      state: z.enum(['ok', 'degraded', 'down']),
      components: z.array(componentHealthSchema),
      figures: z.object({
        connectedAgents: countSchema,
        eventsCommitted: countSchema,
        eventsPerSecond: z.number(),
        unknownMessages: countSchema,
        refusedConnections: countSchema,
        rssBytes: countSchema,
      }),
    }),
  },
  getLiveness: {
    operationId: 'getLiveness',
    method: 'GET',
    path: '/alive',
    access: 'public',
    summary: 'Whether the center answers at all',
    response: z.object({ state: z.enum(['ok', 'degraded', 'down']) }),
  },
})
