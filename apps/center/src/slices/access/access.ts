import { type ApiToken, AppError, type AuditEntry, type Role, roles, type User } from '@ringwall/contracts'
import { hashToken, randomToken, uuidv7, writeJsonFile } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Caller, CenterSlice, RequestContext } from '../../app/slice.ts'
import { verifyAuditChain } from '../../core/audit.ts'
import type { Core, Db, Tx } from '../../core/core.ts'
import type { Authenticate } from '../../http/server.ts'
import { likePattern, listPage } from '../../store/paging.ts'
import { accessMigrations } from './migrations.ts'
import { checkPasswordStrength, generatePassword, hashPassword, verifyPassword } from './passwords.ts'
import { createThrottle } from './throttle.ts'
import {
  countUsers,
  endSessions,
  findApiToken,
  findSession,
  findUser,
  findUserByName,
  insertUser,
  startSession,
  toSession,
  toUser,
  type UserRow,
} from './user-store.ts'

type TokenRow = {
  id: string
  name: string
  role: Role
  user_name: string | null
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
  revoked_at: Date | null
}
type AuditRow = {
  seq: number
  at: Date
  actor: string
  action: string
  object_kind: string | null
  object_id: string | null
  outcome: AuditEntry['outcome']
  address: string | null
  details: string
  hash: string
}

/** Checked against when a name is not known, so that an unknown name takes as long as a wrong password. */
const nobodyHash = hashPassword(randomToken())
const localTokenName = 'command line of this machine'

function toApiToken(row: TokenRow): ApiToken {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    userName: row.user_name ?? 'system',
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    revokedAt: row.revoked_at?.toISOString() ?? null,
  }
}

function callerOf(context: RequestContext): Caller {
  if (context.caller === undefined) throw new AppError('unauthenticated')
  return context.caller
}

/** Tells who calls, by session cookie or API token. */
export function createAuthenticate(db: Db): Authenticate {
  return async ({ sessionToken, bearer }) => {
    if (bearer !== undefined) {
      const token = await findApiToken(db, bearer)
      if (token === undefined) return undefined
      const name = token.user_name === null ? token.name : `${token.user_name} (${token.name})`
      return {
        userId: token.user_id ?? '',
        name,
        role: token.role,
        via: 'api-token',
        sessionHash: undefined,
        csrfToken: undefined,
        mustChangePassword: false,
      }
    }
    const session = sessionToken === undefined ? undefined : await findSession(db, sessionToken)
    if (session === undefined) return undefined
    return {
      userId: session.id,
      name: session.name,
      role: session.role,
      via: 'session',
      sessionHash: session.token_hash,
      csrfToken: session.csrf_token,
      mustChangePassword: session.must_change_password,
    }
  }
}

/** Makes the first administrator when there is no user yet; answers the one-time password. */
export async function ensureFirstAdministrator(db: Db): Promise<string | undefined> {
  if ((await countUsers(db)) > 0) return undefined
  const password = generatePassword()
  await insertUser(db, { name: 'admin', role: 'administrator', passwordHash: await hashPassword(password) })
  return password
}

/** Gives the command line of this machine a token of its own, in a file that only its owner can read. */
export async function writeLocalProfile(
  db: Db,
  path: string,
  profile: { url: string; caPem: string },
): Promise<void> {
  const token = `rw_${randomToken()}`
  await sql`update api_token set revoked_at = now() where name = ${localTokenName} and user_id is null and revoked_at is null`.execute(
    db,
  )
  await sql`insert into api_token (id, name, role, token_hash) values (${uuidv7()}, ${localTokenName}, 'administrator', ${hashToken(token)})`.execute(
    db,
  )
  writeJsonFile(path, { ...profile, token }, { mode: 0o600 })
}

async function keepAnAdministrator(tx: Tx, user: UserRow): Promise<void> {
  const { rows } =
    await sql`select 1 from app_user where role = 'administrator' and is_active and id <> ${user.id} for update`.execute(
      tx,
    )
  if (rows.length === 0) throw new AppError('last_administrator', { name: user.name })
}

function create({ db, clock, live }: Core) {
  const throttle = createThrottle(clock)
  const changed = () => live.publish({ type: 'changed', object: 'user', id: null })

  async function resetPassword(tx: Db, id: string): Promise<{ row: UserRow; password: string }> {
    const password = generatePassword()
    const passwordHash = await hashPassword(password)
    const { rows } =
      await sql<UserRow>`update app_user set password_hash = ${passwordHash}, must_change_password = true where id = ${id} returning *`.execute(
        tx,
      )
    const row = rows[0]
    if (row === undefined) throw new AppError('not_found', { kind: 'user', id })
    await endSessions(tx, id)
    return { row, password }
  }

  return {
    handlers: {
      signIn: async ({ body }, context) => {
        const keys = [`name:${body.name.toLowerCase()}`, `address:${context.address}`]
        context.audit({ actor: body.name })
        throttle.check(keys)
        const user = await findUserByName(db, body.name)
        const isRight = await verifyPassword(body.password, user?.password_hash ?? (await nobodyHash))
        if (user === undefined || !isRight || !user.is_active) {
          throttle.failed(keys)
          throw new AppError('wrong_credentials')
        }
        throttle.succeeded(keys)
        const { token, csrfToken } = await startSession(db, user.id)
        context.setSessionCookie(token)
        return toSession(await findUser(db, user.id), { role: user.role, csrfToken })
      },
      getSession: async (_, context) => {
        const caller = callerOf(context)
        if (caller.userId !== '') return toSession(await findUser(db, caller.userId), caller)
        const system: UserRow = {
          id: '00000000-0000-4000-8000-000000000000',
          name: caller.name,
          role: caller.role,
          language: null,
          password_hash: '',
          must_change_password: false,
          is_active: true,
          created_at: new Date(0),
          last_sign_in_at: null,
        }
        return toSession(system, caller)
      },
      signOut: async (_, context) => {
        const { sessionHash } = callerOf(context)
        if (sessionHash !== undefined)
          await sql`delete from user_session where token_hash = ${sessionHash}`.execute(db)
        context.setSessionCookie(undefined)
      },
      changePassword: async ({ body }, context) => {
        const caller = callerOf(context)
        const keys = [`password:${caller.userId}`]
        throttle.check(keys)
        const user = await findUser(db, caller.userId)
        if (!(await verifyPassword(body.currentPassword, user.password_hash))) {
          throttle.failed(keys)
          throw new AppError('wrong_credentials')
        }
        checkPasswordStrength(body.newPassword, user.name)
        if (body.newPassword === body.currentPassword)
          throw new AppError('password_too_weak', { minLength: 10 })
        const passwordHash = await hashPassword(body.newPassword)
        await sql`update app_user set password_hash = ${passwordHash}, must_change_password = false where id = ${user.id}`.execute(
          db,
        )
        await endSessions(db, user.id, caller.sessionHash)
        return toSession(await findUser(db, user.id), caller)
      },
      changeLanguage: async ({ body }, context) => {
        const caller = callerOf(context)
        await sql`update app_user set language = ${body.language} where id = ${caller.userId}`.execute(db)
        return toSession(await findUser(db, caller.userId), caller)
      },
      listUsers: async ({ query }) =>
        await listPage<UserRow, User>(db, {
          ...query,
          select: sql`*`,
          from: sql`app_user`,
          where: [],
          sort: { by: sql`lower(name)`, id: sql`id`, type: 'text', direction: 'asc' },
          position: (row) => [row.name.toLowerCase(), row.id],
          toItem: toUser,
        }),
      createUser: async ({ body }, context) => {
        const oneTimePassword = generatePassword()
        const row = await insertUser(db, { ...body, passwordHash: await hashPassword(oneTimePassword) })
        context.audit({ objectKind: 'user', objectId: row.id, details: { name: row.name, role: row.role } })
        changed()
        return { user: toUser(row), oneTimePassword }
      },
      updateUser: async ({ params, body }, context) => {
        const user = await db.transaction().execute(async (tx) => {
          const before = await findUser(tx, params.id)
          const role = body.role ?? before.role
          const isActive = body.isActive ?? before.is_active
          if (before.role === 'administrator' && before.is_active && (role !== 'administrator' || !isActive))
            await keepAnAdministrator(tx, before)
          await sql`update app_user set role = ${role}, is_active = ${isActive} where id = ${params.id}`.execute(
            tx,
          )
          if (!isActive || role !== before.role) await endSessions(tx, params.id)
          return await findUser(tx, params.id)
        })
        context.audit({ objectKind: 'user', details: { name: user.name, ...body } })
        changed()
        return { user: toUser(user) }
      },
      resetPassword: async ({ params }, context) => {
        const { row, password } = await resetPassword(db, params.id)
        context.audit({ objectKind: 'user', details: { name: row.name } })
        changed()
        return { user: toUser(row), oneTimePassword: password }
      },
      listApiTokens: async ({ query }) =>
        await listPage<TokenRow, ApiToken>(db, {
          ...query,
          select: sql`t.*, u.name as user_name`,
          from: sql`api_token t left join app_user u on u.id = t.user_id`,
          where: [],
          sort: { by: sql`t.id::text`, id: sql`t.id`, type: 'text', direction: 'desc' },
          position: (row) => [row.id, row.id],
          toItem: toApiToken,
        }),
      createApiToken: async ({ body }, context) => {
        const caller = callerOf(context)
        if (roles.indexOf(body.role) > roles.indexOf(caller.role))
          throw new AppError('forbidden', { permission: body.role })
        const token = `rw_${randomToken()}`
        const expiresAt =
          body.expiresInDays === null ? null : new Date(clock.nowMs() + body.expiresInDays * 86_400_000)
        const { rows } =
          await sql<TokenRow>`insert into api_token (id, name, role, user_id, token_hash, expires_at)
          values (${uuidv7()}, ${body.name}, ${body.role}, ${caller.userId === '' ? null : caller.userId}, ${hashToken(token)}, ${expiresAt})
          returning *, ${caller.name}::text as user_name`.execute(db)
        const row = rows[0] as TokenRow
        context.audit({
          objectKind: 'api_token',
          objectId: row.id,
          details: { name: row.name, role: row.role },
        })
        changed()
        return { apiToken: toApiToken(row), token }
      },
      revokeApiToken: async ({ params }, context) => {
        const { rows } =
          await sql`update api_token set revoked_at = coalesce(revoked_at, now()) where id = ${params.id} returning id`.execute(
            db,
          )
        if (rows.length === 0) throw new AppError('not_found', { kind: 'API token', id: params.id })
        context.audit({ objectKind: 'api_token' })
        changed()
      },
      listAudit: async ({ query }) => {
        const where = []
        if (query.actor) where.push(sql`actor ilike ${likePattern(query.actor)}`)
        if (query.action) where.push(sql`action ilike ${likePattern(query.action)}`)
        if (query.objectId) where.push(sql`object_id = ${query.objectId}`)
        if (query.failedOnly) where.push(sql`outcome <> 'ok'`)
        return await listPage<AuditRow, AuditEntry>(db, {
          ...query,
          select: sql`*`,
          from: sql`audit_entry`,
          where,
          sort: { by: sql`seq`, id: sql`seq`, type: 'bigint', direction: 'desc' },
          position: (row) => [row.seq, String(row.seq)],
          toItem: (row) => ({
            seq: row.seq,
            at: row.at.toISOString(),
            actor: row.actor,
            action: row.action,
            objectKind: row.object_kind,
            objectId: row.object_id,
            outcome: row.outcome,
            address: row.address,
            details: JSON.parse(row.details),
            hash: row.hash,
          }),
        })
      },
      verifyAudit: async () => await verifyAuditChain(db),
    },
  } satisfies ReturnType<CenterSlice['create']>
}

export const access: CenterSlice = { name: 'access', migrations: accessMigrations, create }
