import { z } from 'zod'
import { countSchema, idSchema, pageOf, pageQuerySchema, timestampSchema } from '../common.ts'
import { defineRoutes } from '../route.ts'

export const alarmSeveritySchema = z.enum(['info', 'warning', 'critical'])
/** Kinds known today; the console translates `alarms.kind.<kind>` with the params. */
export const alarmKinds = [
  'malware.found',
  'malware.held',
  'template.infected',
  'machine.offline',
  'machine.cloned',
  'machine.degraded',
  'scanner.offline',
  'scan.failed',
  'manifest.mismatch',
  'spool.gap',
  'certificate.refused',
  'audit.broken',
  'platform.unreachable',
  'inventory.duplicate',
] as const
export const alarmKindSchema = z.enum(alarmKinds)
export type AlarmKind = z.infer<typeof alarmKindSchema>

export const alarmSchema = z.object({
  id: idSchema,
  kind: alarmKindSchema,
  severity: alarmSeveritySchema,
  state: z.enum(['open', 'acknowledged', 'closed']),
  /** How often it happened; repeats of the same thing count up instead of making new alarms. */
  count: countSchema,
  firstAt: timestampSchema,
  lastAt: timestampSchema,
  machineId: idSchema.nullable(),
  hostname: z.string().nullable(),
  params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  acknowledgedBy: z.string().nullable(),
})
export type Alarm = z.infer<typeof alarmSchema>

const idParams = z.object({ id: idSchema })

export const alarmRoutes = defineRoutes({
  listAlarms: {
    operationId: 'listAlarms',
    method: 'GET',
    path: '/alarms',
    access: 'alarms.read',
    summary: 'Alarms, newest first',
    query: pageQuerySchema.extend({
      state: alarmSchema.shape.state.optional(),
      severity: alarmSeveritySchema.optional(),
      kind: alarmKindSchema.optional(),
      machineId: idSchema.optional(),
    }),
    response: pageOf(alarmSchema),
    errors: ['invalid_cursor'],
  },
  acknowledgeAlarm: {
    operationId: 'acknowledgeAlarm',
    method: 'POST',
    path: '/alarms/{id}/acknowledge',
    access: 'alarms.write',
    summary: 'Acknowledge an alarm',
    params: idParams,
    response: z.object({ alarm: alarmSchema }),
    errors: ['not_found', 'state_conflict'],
    audit: 'alarm.acknowledged',
  },
  closeAlarm: {
    operationId: 'closeAlarm',
    method: 'POST',
    path: '/alarms/{id}/close',
    access: 'alarms.write',
    summary: 'Close an alarm',
    params: idParams,
    response: z.object({ alarm: alarmSchema }),
    errors: ['not_found', 'state_conflict'],
    audit: 'alarm.closed',
  },
})
