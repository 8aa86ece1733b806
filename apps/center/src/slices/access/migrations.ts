import type { Migration } from '@ringwall/postgres'
import { sql } from 'kysely'

export const accessMigrations: Record<string, Migration> = {
  '2026-11-24-access-tables': async (db) => {
    await sql`create table app_user (
      id uuid primary key, name text not null, role text not null, language text, password_hash text not null,
      must_change_password boolean not null default true, is_active boolean not null default true,
      created_at timestamptz not null default now(), last_sign_in_at timestamptz)`.execute(db)
    await sql`create unique index app_user_name on app_user (lower(name))`.execute(db)
    await sql`create table user_session (
      token_hash text primary key, user_id uuid not null references app_user on delete cascade, csrf_token text not null,
      created_at timestamptz not null default now(), last_used_at timestamptz not null default now(), expires_at timestamptz not null)`.execute(
      db,
    )
    await sql`create index user_session_user on user_session (user_id)`.execute(db)
    await sql`create table api_token (
      id uuid primary key, name text not null, role text not null, user_id uuid references app_user on delete cascade,
      token_hash text not null unique, created_at timestamptz not null default now(), expires_at timestamptz,
      last_used_at timestamptz, revoked_at timestamptz)`.execute(db)
    await sql`create table audit_entry (
      seq bigint primary key, at timestamptz not null, actor text not null, action text not null, object_kind text,
      object_id text, outcome text not null, address text, details text not null, hash text not null)`.execute(
      db,
    )
  },
}
