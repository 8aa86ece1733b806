import { z } from 'zod'
import {
  countSchema,
  flagSchema,
  idSchema,
  nameSchema,
  pageOf,
  pageQuerySchema,
  timestampSchema,
} from '../common.ts'
import { type Permission, permissionCatalog, roles } from '../permissions.ts'
import { defineRoutes } from '../route.ts'

export const roleSchema = z.enum(roles)
const permissionSchema = z.enum(Object.keys(permissionCatalog) as [Permission, ...Permission[]])
const passwordSchema = z.string().min(1).max(200)
export const languageSchema = z.enum(['zh-CN', 'en'])

export const userSchema = z.object({
  id: idSchema,
  name: nameSchema,
  role: roleSchema,
  language: languageSchema.nullable(),
  mustChangePassword: z.boolean(),
  isActive: z.boolean(),
  createdAt: timestampSchema,
  lastSignInAt: timestampSchema.nullable(),
})
export type User = z.infer<typeof userSchema>

export const sessionSchema = z.object({
  user: userSchema,
  permissions: z.array(permissionSchema),
  /** Sent back in the header `ringwall-csrf` with every write of a browser session. Null for API tokens. */
  csrfToken: z.string().nullable(),
})
export type Session = z.infer<typeof sessionSchema>

export const apiTokenSchema = z.object({
  id: idSchema,
  name: nameSchema,
  role: roleSchema,
  userName: nameSchema,
  createdAt: timestampSchema,
  expiresAt: timestampSchema.nullable(),
  lastUsedAt: timestampSchema.nullable(),
  revokedAt: timestampSchema.nullable(),
})
export type ApiToken = z.infer<typeof apiTokenSchema>

export const auditEntrySchema = z.object({
  seq: countSchema,
  at: timestampSchema,
  actor: z.string(),
  action: z.string(),
  objectKind: z.string().nullable(),
  objectId: z.string().nullable(),
  outcome: z.enum(['ok', 'refused', 'failed']),
  address: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
  hash: z.string(),
})
export type AuditEntry = z.infer<typeof auditEntrySchema>

const idParams = z.object({ id: idSchema })

export const accessRoutes = defineRoutes({
  signIn: {
    operationId: 'signIn',
    method: 'POST',
    path: '/session',
    access: 'public',
    summary: 'Sign in; sets the session cookie',
    body: z.strictObject({ name: z.string().trim().min(1).max(120), password: passwordSchema }),
    response: sessionSchema,
    errors: ['wrong_credentials', 'login_throttled'],
    audit: 'session.signed_in',
  },
  getSession: {
    operationId: 'getSession',
    method: 'GET',
    path: '/session',
    access: 'signed-in',
    summary: 'Who am I',
    response: sessionSchema,
  },
  signOut: {
    operationId: 'signOut',
    method: 'DELETE',
    path: '/session',
    access: 'signed-in',
    summary: 'Sign out',
    audit: 'session.signed_out',
  },
  changePassword: {
    operationId: 'changePassword',
    method: 'POST',
    path: '/session/password',
    access: 'signed-in',
    summary: 'Change the own password; ends the other sessions',
    body: z.strictObject({ currentPassword: passwordSchema, newPassword: passwordSchema }),
    response: sessionSchema,
    errors: ['wrong_credentials', 'password_too_weak'],
    audit: 'user.password_changed',
  },
  changeLanguage: {
    operationId: 'changeLanguage',
    method: 'PATCH',
    path: '/session',
    access: 'signed-in',
    summary: 'Change the own language',
    body: z.strictObject({ language: languageSchema }),
    response: sessionSchema,
    audit: 'user.language_changed',
  },
  listUsers: {
    operationId: 'listUsers',
    method: 'GET',
    path: '/users',
    access: 'users.read',
    summary: 'Users',
    query: pageQuerySchema,
    response: pageOf(userSchema),
  },
  createUser: {
    operationId: 'createUser',
    method: 'POST',
    path: '/users',
    access: 'users.write',
    summary: 'Create a user with a one-time password',
    body: z.strictObject({ name: nameSchema, role: roleSchema }),
    response: z.object({ user: userSchema, oneTimePassword: z.string() }),
    errors: ['conflict'],
    audit: 'user.created',
  },
  updateUser: {
    operationId: 'updateUser',
    method: 'PATCH',
    path: '/users/{id}',
    access: 'users.write',
    summary: 'Change role or activity of a user',
    params: idParams,
    body: z.strictObject({ role: roleSchema.optional(), isActive: z.boolean().optional() }),
    response: z.object({ user: userSchema }),
    errors: ['not_found', 'last_administrator'],
    audit: 'user.updated',
  },
  resetPassword: {
    operationId: 'resetPassword',
    method: 'POST',
    path: '/users/{id}/reset-password',
    access: 'users.write',
    summary: 'Give a user a new one-time password',
    params: idParams,
    response: z.object({ user: userSchema, oneTimePassword: z.string() }),
    errors: ['not_found'],
    audit: 'user.password_reset',
  },
  listApiTokens: {
    operationId: 'listApiTokens',
    method: 'GET',
    path: '/api-tokens',
    access: 'users.read',
    summary: 'API tokens',
    query: pageQuerySchema,
    response: pageOf(apiTokenSchema),
  },
  createApiToken: {
    operationId: 'createApiToken',
    method: 'POST',
    path: '/api-tokens',
    access: 'users.write',
    summary: 'Create an API token; its text is shown once',
    body: z.strictObject({
      name: nameSchema,
      role: roleSchema,
      expiresInDays: z.number().int().min(1).max(3650).nullable().default(90),
    }),
    response: z.object({ apiToken: apiTokenSchema, token: z.string() }),
    audit: 'api_token.created',
  },
  revokeApiToken: {
    operationId: 'revokeApiToken',
    method: 'DELETE',
    path: '/api-tokens/{id}',
    access: 'users.write',
    summary: 'Revoke an API token',
    params: idParams,
    errors: ['not_found'],
    audit: 'api_token.revoked',
  },
  listAudit: {
    operationId: 'listAudit',
    method: 'GET',
    path: '/audit',
    access: 'audit.read',
    summary: 'Audit log, newest first',
    query: pageQuerySchema.extend({
      actor: z.string().max(120).optional(),
      action: z.string().max(60).optional(),
      objectId: z.string().max(120).optional(),
      failedOnly: flagSchema.optional(),
    }),
    response: pageOf(auditEntrySchema),
  },
  verifyAudit: {
    operationId: 'verifyAudit',
    method: 'POST',
    path: '/audit/verify',
    access: 'audit.read',
    summary: 'Check the hash chain of the whole audit log',
    response: z.object({
      isIntact: z.boolean(),
      entries: countSchema,
      headHash: z.string(),
      brokenAtSeq: countSchema.nullable(),
      reason: z.string().nullable(),
    }),
    audit: 'audit.verified',
  },
})
