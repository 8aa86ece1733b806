import { z } from 'zod'
import { countSchema, idSchema, nameSchema, pageOf, pageQuerySchema, timestampSchema } from '../common.ts'
import { agentCapsSchema, moduleUsageSchema } from '../fleet/resources.ts'
import { realtimeFiguresSchema } from '../malware/scan.ts'
import { defineRoutes } from '../route.ts'
import { nodeRefSchema } from './assets.ts'
import { machineFactsSchema, poolSchema } from './facts.ts'

export const linkStateSchema = z.enum(['online', 'offline', 'never'])

export const lineageSchema = z.object({
  parentId: idSchema,
  parentHostname: z.string().nullable(),
  kind: z.enum(['clone', 'unknown']),
  evidence: z.string(),
  at: timestampSchema,
})

/** One machine as lists show it. */
export const machineSchema = z.object({
  id: idSchema,
  hostname: z.string(),
  osFamily: z.enum(['linux', 'windows']),
  osName: z.string(),
  pool: poolSchema,
  hypervisor: z.string().nullable(),
  addresses: z.array(z.string()),
  linkState: linkStateSchema,
  /** `protected`: online and nothing degraded. */
  protection: z.enum(['protected', 'degraded', 'unreachable']),
  problems: z.array(z.string()),
  agentVersion: z.string().nullable(),
  lastSeenAt: timestampSchema.nullable(),
  enrolledAt: timestampSchema,
  lastScanAt: timestampSchema.nullable(),
  /** Findings that are reported, held or failed. */
  openFindings: countSchema,
  lineage: lineageSchema.nullable(),
  labels: z.array(z.string()),
})
export type Machine = z.infer<typeof machineSchema>

export const machineDetailSchema = machineSchema.extend({
  facts: machineFactsSchema,
  certificate: z
    .object({ serial: z.string(), notAfter: timestampSchema, fingerprint: z.string() })
    .nullable(),
  desiredVersion: countSchema,
  appliedVersion: countSchema,
  appliedErrorCode: z.string().nullable(),
  agent: z
    .object({
      rssBytes: countSchema,
      cpuPercent: z.number(),
      spoolRecords: countSchema,
      spoolBytes: countSchema,
      droppedRecords: countSchema,
      unknownMessages: countSchema,
      realtime: realtimeFiguresSchema.nullable(),
      /** Null where the system sets no limits, or an older agent tells none. */
      caps: agentCapsSchema.nullable(),
      modules: z.array(moduleUsageSchema),
    })
    .nullable(),
  /** The first of its direct clones by name; `cloneCount` counts all. */
  clones: z.array(z.object({ id: idSchema, hostname: z.string(), at: timestampSchema })),
  cloneCount: countSchema,
  /** What a platform knows of this machine, and what says that it is the same one. */
  asset: z
    .object({
      id: idSchema,
      name: z.string(),
      platform: nodeRefSchema,
      host: nodeRefSchema.nullable(),
      evidence: z.string(),
    })
    .nullable(),
})
export type MachineDetail = z.infer<typeof machineDetailSchema>

/** One line of a machine's history. `type` is an agent event type or a center one (machine.enrolled, link.online, ...). */
export const machineEventSchema = z.object({
  id: z.string(),
  at: timestampSchema,
  receivedAt: timestampSchema,
  type: z.string(),
  body: z.record(z.string(), z.unknown()),
})
export type MachineEvent = z.infer<typeof machineEventSchema>

export const machineFilterSchema = z.object({
  search: z.string().trim().max(200).optional(),
  pool: poolSchema.optional(),
  osFamily: z.enum(['linux', 'windows']).optional(),
  linkState: linkStateSchema.optional(),
  protection: z.enum(['protected', 'degraded', 'unreachable']).optional(),
  hasOpenFindings: z.enum(['true', 'false']).optional(),
  /** Machines that have a finding of this hash. */
  sha256: z.string().max(64).optional(),
  /** Clones of this machine, or of this asset where it has no machine, their clones, and so on. */
  madeFrom: idSchema.optional(),
})

const idParams = z.object({ id: idSchema })

export const inventoryRoutes = defineRoutes({
  listMachines: {
    operationId: 'listMachines',
    method: 'GET',
    path: '/machines',
    access: 'machines.read',
    summary: 'Machines',
    query: pageQuerySchema.extend(machineFilterSchema.shape).extend({
      sort: z
        .enum(['hostname', '-hostname', 'lastSeenAt', '-lastSeenAt', '-openFindings'])
        .default('hostname'),
    }),
    response: pageOf(machineSchema),
    errors: ['invalid_cursor'],
  },
  getMachine: {
    operationId: 'getMachine',
    method: 'GET',
    path: '/machines/{id}',
    access: 'machines.read',
    summary: 'One machine',
    params: idParams,
    response: z.object({ machine: machineDetailSchema }),
    errors: ['not_found'],
  },
  updateMachine: {
    operationId: 'updateMachine',
    method: 'PATCH',
    path: '/machines/{id}',
    access: 'machines.write',
    summary: 'Label a machine',
    params: idParams,
    body: z.strictObject({ labels: z.array(nameSchema).max(50) }),
    response: z.object({ machine: machineDetailSchema }),
    errors: ['not_found'],
    audit: 'machine.updated',
  },
  removeMachine: {
    operationId: 'removeMachine',
    method: 'DELETE',
    path: '/machines/{id}',
    access: 'machines.remove',
    summary: 'Revoke the certificate of a machine and remove it',
    params: idParams,
    errors: ['not_found'],
    audit: 'machine.removed',
  },
  listMachineEvents: {
    operationId: 'listMachineEvents',
    method: 'GET',
    path: '/machines/{id}/events',
    access: 'machines.read',
    summary: 'History of a machine, newest first',
    params: idParams,
    query: pageQuerySchema,
    response: pageOf(machineEventSchema),
    errors: ['not_found', 'invalid_cursor'],
  },
})
