import { z } from 'zod'
import { countSchema, idSchema, nameSchema, pageOf, pageQuerySchema, timestampSchema } from '../common.ts'
import { scannerHealthSchema } from '../malware/scanner.ts'
import { defineRoutes } from '../route.ts'
import { enrolRoleSchema } from './enroll.ts'

export const enrolTokenSchema = z.object({
  id: idSchema,
  name: nameSchema,
  role: enrolRoleSchema,
  maxUses: countSchema,
  uses: countSchema,
  createdAt: timestampSchema,
  createdBy: z.string(),
  expiresAt: timestampSchema,
  state: z.enum(['valid', 'expired', 'exhausted', 'revoked']),
})
export type EnrolToken = z.infer<typeof enrolTokenSchema>

/** How to enrol: shown by the console as one line to paste. */
export const enrolmentInfoSchema = z.object({
  gatewayAddress: z.string(),
  caHash: z.string(),
  caPem: z.string(),
})

export const scannerSchema = z.object({
  id: idSchema,
  name: z.string(),
  addresses: z.array(z.object({ host: z.string(), port: z.number().int() })),
  linkState: z.enum(['online', 'offline', 'never']),
  softwareVersion: z.string().nullable(),
  lastSeenAt: timestampSchema.nullable(),
  health: scannerHealthSchema.nullable(),
})
export type Scanner = z.infer<typeof scannerSchema>

const idParams = z.object({ id: idSchema })

export const fleetRoutes = defineRoutes({
  getEnrolmentInfo: {
    operationId: 'getEnrolmentInfo',
    method: 'GET',
    path: '/enrolment',
    access: 'machines.enrol',
    summary: 'Address and CA hash for enrolment',
    response: enrolmentInfoSchema,
  },
  listEnrolTokens: {
    operationId: 'listEnrolTokens',
    method: 'GET',
    path: '/enrol-tokens',
    access: 'machines.enrol',
    summary: 'Enrolment tokens',
    query: pageQuerySchema,
    response: pageOf(enrolTokenSchema),
  },
  createEnrolToken: {
    operationId: 'createEnrolToken',
    method: 'POST',
    path: '/enrol-tokens',
    access: 'machines.enrol',
    summary: 'Create an enrolment token; its text is shown once',
    body: z.strictObject({
      name: nameSchema,
      role: enrolRoleSchema.default('agent'),
      maxUses: z.number().int().min(1).max(100_000).default(1),
      expiresInHours: z.number().int().min(1).max(8760).default(24),
    }),
    response: z.object({ enrolToken: enrolTokenSchema, token: z.string(), command: z.string() }),
    audit: 'enrol_token.created',
  },
  revokeEnrolToken: {
    operationId: 'revokeEnrolToken',
    method: 'DELETE',
    path: '/enrol-tokens/{id}',
    access: 'machines.enrol',
    summary: 'Revoke an enrolment token',
    params: idParams,
    errors: ['not_found'],
    audit: 'enrol_token.revoked',
  },
  listScanners: {
    operationId: 'listScanners',
    method: 'GET',
    path: '/scanners',
    access: 'system.read',
    summary: 'Scanners and their health',
    query: pageQuerySchema,
    response: pageOf(scannerSchema),
  },
})
