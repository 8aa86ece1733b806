import { z } from 'zod'
import { countSchema, idSchema, nameSchema, pageOf, pageQuerySchema, timestampSchema } from '../common.ts'
import { defineRoutes } from '../route.ts'
import {
  platformCapabilitiesSchema,
  platformCredentialsSchema,
  platformKindSchema,
} from './platform-kinds.ts'
import { platformWarningSchema } from './platform-warnings.ts'

const fingerprintPattern = /(^|=)sha256:[0-9a-f]{64}$/
/** `sha256:<hex>`; for a platform of several hosts `host=sha256:<hex>` of each, set apart by commas. */
const fingerprintSchema = z
  .string()
  .max(60_000)
  .refine(
    (text) => text.split(',').every((part) => fingerprintPattern.test(part)),
    'expected sha256: and 64 lower-case hex digits',
  )
/** Of libvirt, up to 200 hosts. */
const addressSchema = z.string().trim().max(20_000)
const labelsSchema = z.array(nameSchema).max(50)
const paramsSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))

/** An error as it is stored: translated by who shows it. */
export const storedErrorSchema = z.object({ code: z.string(), params: paramsSchema })
export type StoredError = z.infer<typeof storedErrorSchema>

/** Of a platform, a cluster or a host. `total` = templates + protected + unprotected. */
export const nodeCountsSchema = z.object({
  total: countSchema,
  templates: countSchema,
  /** An agent is joined. */
  protected: countSchema,
  unprotected: countSchema,
  poweredOn: countSchema,
})
export type NodeCounts = z.infer<typeof nodeCountsSchema>

export const platformIdentitySchema = z.object({
  product: z.string(),
  version: z.string(),
  instanceId: z.string().nullable(),
  /** What the account cannot see or do that would help. */
  warnings: z.array(platformWarningSchema),
})

/**
 * `connecting`, `listing`: the first list after a start or an error is under way; `watching`: complete and followed;
 * `failed`: tried again by itself, `error` says why; `disabled`; `manual`: nothing to connect to (imports).
 */
export const platformStateSchema = z.enum([
  'connecting',
  'listing',
  'watching',
  'failed',
  'disabled',
  'manual',
])

export const platformSchema = z.object({
  id: idSchema,
  kind: platformKindSchema,
  name: nameSchema,
  address: z.string(),
  /** Of the certificate or host key that the operator accepted; null where there is nothing to pin. */
  fingerprint: z.string().nullable(),
  credentialKind: z.enum(['password', 'token', 'ssh-key', 'none']),
  /** User name or token id; never the secret. */
  account: z.string().nullable(),
  isEnabled: z.boolean(),
  resyncMinutes: countSchema,
  requestsPerSecond: z.number(),
  labels: z.array(z.string()),
  state: platformStateSchema,
  error: storedErrorSchema.extend({ at: timestampSchema }).nullable(),
  /** What the platform itself said who it is. */
  identity: platformIdentitySchema.nullable(),
  lastListAt: timestampSchema.nullable(),
  lastListMs: countSchema.nullable(),
  lastChangeAt: timestampSchema.nullable(),
  /** From the platform's own time of the last change to its row here; null where the platform tells no time. */
  lagMs: countSchema.nullable(),
  counts: nodeCountsSchema.extend({ clusters: countSchema, hosts: countSchema }),
  createdAt: timestampSchema,
})
export type Platform = z.infer<typeof platformSchema>

/** One complete list that was tried. */
export const platformSyncSchema = z.object({
  at: timestampSchema,
  cause: z.enum(['start', 'interval', 'request', 'gone', 'resync']),
  durationMs: countSchema,
  objects: countSchema,
  added: countSchema,
  changed: countSchema,
  gone: countSchema,
  error: storedErrorSchema.nullable(),
})
export type PlatformSync = z.infer<typeof platformSyncSchema>

const idParams = z.object({ id: idSchema })
const connectionBody = z.strictObject({
  kind: platformKindSchema,
  address: addressSchema,
  fingerprint: fingerprintSchema.nullable(),
  credentials: platformCredentialsSchema,
})
const settingsShape = {
  name: nameSchema,
  isEnabled: z.boolean(),
  /** How often a complete list is read although changes are followed. */
  resyncMinutes: z.number().int().min(1).max(1440),
  requestsPerSecond: z.number().min(0.1).max(1000),
  labels: labelsSchema,
}
const platformAnswer = z.object({ platform: platformSchema })

export const platformRoutes = defineRoutes({
  listPlatformKinds: {
    operationId: 'listPlatformKinds',
    method: 'GET',
    path: '/platform-kinds',
    access: 'platforms.read',
    summary: 'Kinds of platforms, and which have a connector in this version',
    response: z.object({
      kinds: z.array(
        z.object({
          kind: platformKindSchema,
          isAvailable: z.boolean(),
          capabilities: platformCapabilitiesSchema.nullable(),
        }),
      ),
    }),
  },
  probePlatform: {
    operationId: 'probePlatform',
    method: 'POST',
    path: '/platforms/probe',
    access: 'platforms.write',
    summary: 'Fingerprint of what answers at an address; nothing is sent to it',
    body: z.strictObject({ kind: platformKindSchema, address: addressSchema }),
    response: z.object({ fingerprint: z.string().nullable() }),
    errors: ['platform_kind_unavailable', 'platform_address_invalid', 'unavailable', 'timeout'],
    audit: 'platform.probed',
  },
  testPlatform: {
    operationId: 'testPlatform',
    method: 'POST',
    path: '/platforms/test',
    access: 'platforms.write',
    summary: 'Sign in to a platform and look, keeping nothing',
    body: connectionBody,
    response: z.object({
      identity: platformIdentitySchema,
      /** Null when the complete list takes longer than a test may. */
      preview: z
        .object({
          clusters: countSchema,
          hosts: countSchema,
          machines: countSchema,
          templates: countSchema,
          hostNames: z.array(z.string()),
          machineNames: z.array(z.string()),
        })
        .nullable(),
    }),
    errors: [
      'platform_kind_unavailable',
      'platform_address_invalid',
      'platform_fingerprint_missing',
      'platform_credentials_kind',
      'platform_login_failed',
      'platform_permission',
      'platform_answer_invalid',
      'certificate_untrusted',
      'unavailable',
      'timeout',
    ],
    audit: 'platform.tested',
  },
  listPlatforms: {
    operationId: 'listPlatforms',
    method: 'GET',
    path: '/platforms',
    access: 'platforms.read',
    summary: 'Platforms',
    query: pageQuerySchema,
    response: pageOf(platformSchema),
    errors: ['invalid_cursor'],
  },
  createPlatform: {
    operationId: 'createPlatform',
    method: 'POST',
    path: '/platforms',
    access: 'platforms.write',
    summary: 'Add a platform; its credentials are sealed and never answered',
    body: connectionBody.extend({
      name: settingsShape.name,
      isEnabled: settingsShape.isEnabled.default(true),
      resyncMinutes: settingsShape.resyncMinutes.default(60),
      requestsPerSecond: settingsShape.requestsPerSecond.default(10),
      labels: settingsShape.labels.default([]),
    }),
    response: platformAnswer,
    errors: [
      'conflict',
      'platform_kind_unavailable',
      'platform_address_invalid',
      'platform_fingerprint_missing',
      'platform_credentials_kind',
    ],
    audit: 'platform.created',
  },
  getPlatform: {
    operationId: 'getPlatform',
    method: 'GET',
    path: '/platforms/{id}',
    access: 'platforms.read',
    summary: 'One platform and its health: the last complete lists, newest first',
    params: idParams,
    response: platformAnswer.extend({ syncs: z.array(platformSyncSchema) }),
    errors: ['not_found'],
  },
  updatePlatform: {
    operationId: 'updatePlatform',
    method: 'PATCH',
    path: '/platforms/{id}',
    access: 'platforms.write',
    summary: 'Change settings, fingerprint or credentials of a platform',
    params: idParams,
    body: z.strictObject({
      ...z.object(settingsShape).partial().shape,
      address: addressSchema.optional(),
      fingerprint: fingerprintSchema.nullable().optional(),
      credentials: platformCredentialsSchema.optional(),
    }),
    response: platformAnswer,
    errors: [
      'not_found',
      'conflict',
      'platform_address_invalid',
      'platform_fingerprint_missing',
      'platform_credentials_kind',
    ],
    audit: 'platform.updated',
  },
  removePlatform: {
    operationId: 'removePlatform',
    method: 'DELETE',
    path: '/platforms/{id}',
    access: 'platforms.write',
    summary: 'Remove a platform and what it knew; agents stay',
    params: idParams,
    errors: ['not_found'],
    audit: 'platform.removed',
  },
  syncPlatform: {
    operationId: 'syncPlatform',
    method: 'POST',
    path: '/platforms/{id}/sync',
    access: 'platforms.write',
    summary: 'Read a complete list now',
    params: idParams,
    response: platformAnswer,
    errors: ['not_found', 'state_conflict'],
    audit: 'platform.sync_requested',
  },
})
