import { z } from 'zod'
import { countSchema, idSchema, pageOf, pageQuerySchema, timestampSchema } from '../common.ts'
import { defineRoutes } from '../route.ts'
import { storedErrorSchema } from './platforms.ts'

/** A way to install the agent by hand. */
export const installCommandSchema = z.object({
  osFamily: z.enum(['linux', 'windows']),
  /** Null where there is no agent for it yet. */
  command: z.string().nullable(),
  assetIds: z.array(idSchema),
})
export type InstallCommand = z.infer<typeof installCommandSchema>

/**
 * `queued`, then `connecting`, `copying`, `installing` and `waiting` (installed; the agent has not been here yet), and in
 * the end `done`, `failed` or `cancelled`.
 */
export const pushStateSchema = z.enum([
  'queued',
  'connecting',
  'copying',
  'installing',
  'waiting',
  'done',
  'failed',
  'cancelled',
])

export const pushTargetSchema = z.object({
  assetId: idSchema,
  name: z.string(),
  address: z.string(),
  port: countSchema,
  state: pushStateSchema,
  /** `sha256:<hex>` of the SSH host key that answered. */
  hostKey: z.string().nullable(),
  /** It was seen for the first time and kept. */
  isHostKeyNew: z.boolean(),
  error: storedErrorSchema.nullable(),
  changedAt: timestampSchema,
})
export type PushTarget = z.infer<typeof pushTargetSchema>

export const pushJobSchema = z.object({
  id: idSchema,
  createdAt: timestampSchema,
  createdBy: z.string(),
  endedAt: timestampSchema.nullable(),
  counts: z.object({
    total: countSchema,
    open: countSchema,
    done: countSchema,
    failed: countSchema,
    cancelled: countSchema,
  }),
})
export type PushJob = z.infer<typeof pushJobSchema>

const idParams = z.object({ id: idSchema })
/** Used for one job, held in memory only. */
const sshCredentialsSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('password'),
    username: z.string().trim().min(1).max(200),
    password: z.string().min(1).max(500),
  }),
  z.strictObject({
    kind: z.literal('ssh-key'),
    username: z.string().trim().min(1).max(200),
    privateKeyPem: z.string().min(1).max(20_000),
    passphrase: z.string().max(500).optional(),
    /** For sudo, where it asks. */
    sudoPassword: z.string().max(500).optional(),
  }),
])
export type SshCredentials = z.infer<typeof sshCredentialsSchema>

export const protectRoutes = defineRoutes({
  createInstallCommands: {
    operationId: 'createInstallCommands',
    method: 'POST',
    path: '/protect/commands',
    access: 'machines.protect',
    summary: 'Command lines that install the agent on a set of machines, with a token for as many uses',
    body: z.strictObject({
      assetIds: z.array(idSchema).min(1).max(1000),
      expiresInHours: z.number().int().min(1).max(720).default(24),
    }),
    response: z.object({
      commands: z.array(installCommandSchema),
      maxUses: countSchema,
      expiresAt: timestampSchema,
      /** What the Linux command downloads. */
      agentPackage: z.object({ url: z.string(), sha256: z.string(), sizeBytes: countSchema }),
      /** Assets that have an agent already. */
      protectedAssetIds: z.array(idSchema),
    }),
    errors: ['agent_package_missing', 'not_found'],
    audit: 'protect.commands_created',
  },
  createPushJob: {
    operationId: 'createPushJob',
    method: 'POST',
    path: '/protect/push-jobs',
    access: 'machines.protect',
    summary: 'Install the agent on Linux machines over SSH',
    body: z.strictObject({
      targets: z
        .array(
          z.strictObject({
            assetId: idSchema,
            /** Without it the first address that is known. */
            address: z.string().trim().min(1).max(253).optional(),
            port: z.number().int().min(1).max(65_535).default(22),
            /** The host key to accept; without it the one accepted before, or the first one seen. */
            hostKey: z
              .string()
              .regex(/^sha256:[0-9a-f]{64}$/)
              .optional(),
          }),
        )
        .min(1)
        .max(500),
      credentials: sshCredentialsSchema,
      concurrency: z.number().int().min(1).max(20).default(5),
    }),
    response: z.object({ job: pushJobSchema }),
    errors: ['agent_package_missing', 'not_found'],
    audit: 'protect.push_started',
  },
  listPushJobs: {
    operationId: 'listPushJobs',
    method: 'GET',
    path: '/protect/push-jobs',
    access: 'machines.protect',
    summary: 'Push jobs, newest first',
    query: pageQuerySchema,
    response: pageOf(pushJobSchema),
    errors: ['invalid_cursor'],
  },
  getPushJob: {
    operationId: 'getPushJob',
    method: 'GET',
    path: '/protect/push-jobs/{id}',
    access: 'machines.protect',
    summary: 'One push job with its targets',
    params: idParams,
    response: z.object({ job: pushJobSchema, targets: z.array(pushTargetSchema) }),
    errors: ['not_found'],
  },
  cancelPushJob: {
    operationId: 'cancelPushJob',
    method: 'POST',
    path: '/protect/push-jobs/{id}/cancel',
    access: 'machines.protect',
    summary: 'Start no further target and end the ones under way',
    params: idParams,
    response: z.object({ job: pushJobSchema }),
    errors: ['not_found', 'state_conflict'],
    audit: 'protect.push_cancelled',
  },
})
