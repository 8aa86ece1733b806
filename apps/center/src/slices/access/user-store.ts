import { AppError, permissionsOf, type Role, type Session, type User } from '@ringwall/contracts'
import { isUniqueViolation } from '@ringwall/postgres'
import { hashToken, randomToken, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Caller } from '../../app/slice.ts'
import type { Db } from '../../core/core.ts'

export type UserRow = {
  id: string
  name: string
  role: Role
  language: 'zh-CN' | 'en' | null
  password_hash: string
  must_change_password: boolean
  is_active: boolean
  created_at: Date
  last_sign_in_at: Date | null
}

const absoluteHours = 12
const idleMinutes = 60

export function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    language: row.language,
    mustChangePassword: row.must_change_password,
    isActive: row.is_active,
    createdAt: row.created_at.toISOString(),
    lastSignInAt: row.last_sign_in_at?.toISOString() ?? null,
  }
}

export function toSession(row: UserRow, caller: Pick<Caller, 'role' | 'csrfToken'>): Session {
  return {
    user: toUser(row),
    permissions: row.must_change_password ? [] : permissionsOf(caller.role),
    csrfToken: caller.csrfToken ?? null,
  }
}

export async function findUserByName(db: Db, name: string): Promise<UserRow | undefined> {
  return (await sql<UserRow>`select * from app_user where lower(name) = lower(${name})`.execute(db)).rows[0]
}

export async function findUser(db: Db, id: string): Promise<UserRow> {
  const row = (await sql<UserRow>`select * from app_user where id = ${id}`.execute(db)).rows[0]
  if (row === undefined) throw new AppError('not_found', { kind: 'user', id })
  return row
}

export async function countUsers(db: Db): Promise<number> {
  return (
    (await sql<{ count: number }>`select count(*) as count from app_user`.execute(db)).rows[0]?.count ?? 0
  )
}

/** Throws conflict when the name is taken, in whatever case. */
export async function insertUser(
  db: Db,
  user: { name: string; role: Role; passwordHash: string },
): Promise<UserRow> {
  try {
    const { rows } = await sql<UserRow>`insert into app_user (id, name, role, password_hash)
      values (${uuidv7()}, ${user.name}, ${user.role}, ${user.passwordHash}) returning *`.execute(db)
    return rows[0] as UserRow
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError('conflict', { kind: 'user', id: user.name })
    throw error
  }
}

/** Starts a session; answers the secret of its cookie. */
export async function startSession(db: Db, userId: string): Promise<{ token: string; csrfToken: string }> {
  const token = randomToken()
  const csrfToken = randomToken(18)
  await sql`delete from user_session where expires_at < now()`.execute(db)
  await sql`insert into user_session (token_hash, user_id, csrf_token, expires_at)
    values (${hashToken(token)}, ${userId}, ${csrfToken}, now() + make_interval(hours => ${absoluteHours}))`.execute(
    db,
  )
  await sql`update app_user set last_sign_in_at = now() where id = ${userId}`.execute(db)
  return { token, csrfToken }
}

/** Ends the sessions of a user, but for the one that is named. */
export async function endSessions(db: Db, userId: string, exceptHash?: string): Promise<void> {
  await sql`delete from user_session where user_id = ${userId} and token_hash is distinct from ${exceptHash ?? null}`.execute(
    db,
  )
}

export async function findSession(
  db: Db,
  token: string,
): Promise<(UserRow & { token_hash: string; csrf_token: string }) | undefined> {
  const { rows } = await sql<UserRow & { token_hash: string; csrf_token: string }>`
    update user_session s set last_used_at = now() from app_user u
    where s.token_hash = ${hashToken(token)} and s.user_id = u.id and u.is_active and s.expires_at > now()
      and s.last_used_at > now() - make_interval(mins => ${idleMinutes})
    returning u.*, s.token_hash, s.csrf_token`.execute(db)
  return rows[0]
}

export async function findApiToken(
  db: Db,
  token: string,
): Promise<
  { id: string; name: string; role: Role; user_id: string | null; user_name: string | null } | undefined
> {
  const { rows } = await sql<{
    id: string
    name: string
    role: Role
    user_id: string | null
    user_name: string | null
  }>`
    update api_token t set last_used_at = now()
    where token_hash = ${hashToken(token)} and revoked_at is null and (expires_at is null or expires_at > now())
      and (t.user_id is null or exists (select 1 from app_user u where u.id = t.user_id and u.is_active))
    returning t.id, t.name, t.role, t.user_id, (select name from app_user u where u.id = t.user_id) as user_name`.execute(
    db,
  )
  return rows[0]
}
