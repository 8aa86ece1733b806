import type { Migration } from '@ringwall/postgres'
import { sql } from 'kysely'

export const fleetMigrations: Record<string, Migration> = {
  '2026-11-24-fleet-tables': async (db) => {
    await sql`create table enrol_token (
      id uuid primary key, name text not null, role text not null, token_hash text not null unique, max_uses bigint not null,
      uses bigint not null default 0, created_at timestamptz not null default now(), created_by text not null,
      expires_at timestamptz not null, revoked_at timestamptz)`.execute(db)
    await sql`create table peer (
      id uuid primary key, kind text not null, name text not null, created_at timestamptz not null default now(), revoked_at timestamptz,
      instance_id text not null default '', boot_id text not null default '', process_nonce text not null default '',
      ratchet text not null default '', previous_ratchet text not null default '', addresses jsonb not null default '[]',
      software_version text, cert_serial text not null, cert_not_after timestamptz not null, cert_fingerprint text not null,
      desired_version bigint not null default 0, desired_hash text not null default '', desired_payload text,
      applied_version bigint not null default 0, applied_error text, link_state text not null default 'never',
      last_seen_at timestamptz, heartbeat jsonb)`.execute(db)
    await sql`create index peer_kind on peer (kind, link_state)`.execute(db)
    await sql`create table event_mark (
      peer_id uuid not null references peer on delete cascade, epoch uuid not null, last_seq bigint not null, primary key (peer_id, epoch))`.execute(
      db,
    )
    await sql`create table event (
      received_at timestamptz not null, machine_id uuid not null, epoch uuid not null, seq bigint not null, id uuid not null,
      at timestamptz not null, type text not null, body jsonb not null, primary key (received_at, machine_id, epoch, seq)
    ) partition by range (received_at)`.execute(db)
    await sql`create index event_machine on event (machine_id, id)`.execute(db)
    await sql`create index event_received on event using brin (received_at)`.execute(db)
  },
}
