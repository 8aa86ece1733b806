import { z } from 'zod'
import { idSchema } from '../common.ts'
import { machineFactsSchema } from '../inventory/facts.ts'

export const enrolRoleSchema = z.enum(['agent', 'scanner'])
export type EnrolRole = z.infer<typeof enrolRoleSchema>

export const caHashSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits')

/** POST /enroll on the gateway port, over TLS with the CA pinned by hash. */
export const enrolRequestSchema = z.strictObject({
  role: enrolRoleSchema,
  token: z.string().min(10).max(200),
  csrPem: z.string().max(8000),
  softwareVersion: z.string().max(40),
  /** Agents: what the machine is. */
  facts: machineFactsSchema.optional(),
  /** Agents: the sealed machine that this one was made from. */
  templateId: idSchema.optional(),
  /** Scanners: where agents reach it. */
  addresses: z
    .array(z.object({ host: z.string().max(253), port: z.number().int().min(1).max(65_535) }))
    .max(16)
    .optional(),
})
export type EnrolRequest = z.infer<typeof enrolRequestSchema>

export const enrolResponseSchema = z.object({
  id: idSchema,
  certificatePem: z.string().max(8000),
  caPem: z.string().max(8000),
  /** Ed25519 public keys (SPKI PEM) that sign desired state and content. */
  policyKeyPem: z.string().max(1000),
  contentKeyPem: z.string().max(1000),
  serverTime: z.iso.datetime({ offset: true }),
})
export type EnrolResponse = z.infer<typeof enrolResponseSchema>
