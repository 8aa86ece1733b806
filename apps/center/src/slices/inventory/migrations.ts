import type { Migration } from '@ringwall/postgres'
import { sql } from 'kysely'

export const inventoryMigrations: Record<string, Migration> = {
  '2026-11-24-machine-table': async (db) => {
    await sql`create table machine (
      id uuid primary key, hostname text not null, os_family text not null, os_name text not null, pool text not null, hypervisor text,
      facts jsonb not null, labels text[] not null default '{}', agent_version text not null, enrolled_at timestamptz not null default now(),
      last_scan_at timestamptz, lineage_parent uuid, lineage_evidence text, lineage_at timestamptz)`.execute(
      db,
    )
    await sql`create index machine_hostname on machine (lower(hostname))`.execute(db)
    await sql`create index machine_parent on machine (lineage_parent) where lineage_parent is not null`.execute(
      db,
    )
  },
  '2026-11-25-platform-tables': async (db) => {
    await sql`create table platform (
      id uuid primary key, kind text not null, name text not null, address text not null, fingerprint text, credential_kind text not null,
      account text, sealed_credentials bytea not null, is_enabled boolean not null, resync_minutes bigint not null,
      requests_per_second double precision not null, labels text[] not null, state text not null, identity jsonb, error_code text,
      error_params jsonb, error_at timestamptz, last_list_at timestamptz, last_list_ms bigint, last_change_at timestamptz, lag_ms bigint,
      created_at timestamptz not null default now())`.execute(db)
    await sql`create unique index platform_name on platform (lower(name))`.execute(db)
    await sql`create table platform_sync (
      id uuid primary key, platform_id uuid not null references platform on delete cascade, at timestamptz not null, cause text not null,
      duration_ms bigint not null, objects bigint not null, added bigint not null, changed bigint not null, gone bigint not null,
      error_code text, error_params jsonb)`.execute(db)
    await sql`create index platform_sync_platform on platform_sync (platform_id, id)`.execute(db)
    await sql`create table platform_cluster (
      id uuid primary key, platform_id uuid not null references platform on delete cascade, ref text not null, name text not null,
      gone_at timestamptz, unique (platform_id, ref))`.execute(db)
    await sql`create table platform_host (
      id uuid primary key, platform_id uuid not null references platform on delete cascade, ref text not null, name text not null,
      cluster_id uuid references platform_cluster on delete set null, address text, uuid text, state text not null, version text,
      gone_at timestamptz, machine_id uuid references machine on delete set null, join_evidence text, unique (platform_id, ref))`.execute(
      db,
    )
    await sql`create index platform_host_machine on platform_host (machine_id)`.execute(db)
    await sql`create table asset (
      id uuid primary key, platform_id uuid not null references platform on delete cascade, ref text not null, kind text not null,
      pool text not null, name text not null, host_id uuid references platform_host on delete set null,
      migrating_to_id uuid references platform_host on delete set null, cluster_id uuid references platform_cluster on delete set null,
      power text not null, uuid text, macs text[] not null, addresses text[] not null, guest_os text, os_family text,
      datastores text[] not null, parent_ref text, parent_name text, parent_kind text, parent_evidence text,
      labels text[] not null default '{}', first_seen_at timestamptz not null, last_seen_at timestamptz not null, gone_at timestamptz,
      machine_id uuid references machine on delete set null, join_evidence text, unique (platform_id, ref))`.execute(
      db,
    )
    await sql`create index asset_name on asset (lower(name))`.execute(db)
    await sql`create index asset_host on asset (host_id)`.execute(db)
    await sql`create index asset_cluster on asset (cluster_id)`.execute(db)
    await sql`create index asset_machine on asset (machine_id)`.execute(db)
    await sql`create index asset_parent on asset (platform_id, parent_ref) where parent_ref is not null`.execute(
      db,
    )
    await sql`create table placement (
      id uuid primary key, asset_id uuid not null references asset on delete cascade, host_id uuid not null references platform_host on delete cascade,
      from_at timestamptz not null, to_at timestamptz, cause text not null)`.execute(db)
    await sql`create unique index placement_open on placement (asset_id) where to_at is null`.execute(db)
    await sql`create index placement_asset on placement (asset_id, from_at)`.execute(db)
    await sql`create index placement_host on placement (host_id)`.execute(db)
    await sql`create table inventory_issue (
      id uuid primary key, kind text not null, value text not null, asset_ids uuid[] not null, machine_ids uuid[] not null, state text not null,
      first_at timestamptz not null default now(), last_at timestamptz not null default now(), dismissed_by text, unique (kind, value))`.execute(
      db,
    )
    await sql`create index inventory_issue_assets on inventory_issue using gin (asset_ids)`.execute(db)
    await sql`create table saved_filter (
      id uuid primary key, list text not null, name text not null, query jsonb not null, is_shared boolean not null, owner_id text not null,
      owner_name text not null, created_at timestamptz not null default now())`.execute(db)
    await sql`create unique index saved_filter_name on saved_filter (owner_id, list, lower(name))`.execute(db)
    await sql`create table ssh_host_key (
      asset_id uuid primary key references asset on delete cascade, fingerprint text not null, accepted_by text not null,
      at timestamptz not null default now())`.execute(db)
    await sql`create table push_job (
      id uuid primary key, created_by text not null, created_at timestamptz not null default now(), ended_at timestamptz)`.execute(
      db,
    )
    await sql`create table push_target (
      job_id uuid not null references push_job on delete cascade, asset_id uuid not null references asset on delete cascade, address text not null,
      port bigint not null, state text not null, host_key text, is_host_key_new boolean not null default false, error_code text,
      error_params jsonb, changed_at timestamptz not null default now(), primary key (job_id, asset_id))`.execute(
      db,
    )
  },
  '2026-11-26-lineage-views': async (db) => {
    // Of several assets of one machine the one seen last counts, as for its placement.
    await sql`create view platform_lineage as
      select a.machine_id as clone_id, parent.machine_id as parent_id, coalesce(a.parent_kind, 'unknown') as kind, coalesce(a.parent_evidence, '') as evidence
      from asset a join asset parent on parent.platform_id = a.platform_id and parent.ref = a.parent_ref
      where a.gone_at is null and a.machine_id <> parent.machine_id and not exists (
        select 1 from asset b where b.machine_id = a.machine_id and b.gone_at is null
          and (b.last_seen_at > a.last_seen_at or (b.last_seen_at = a.last_seen_at and b.id < a.id)))`.execute(
      db,
    )
    // Enrolment tells that two machines are copies, but calls the first to come the parent; a platform knows better.
    await sql`create view machine_lineage as
      select clone_id, parent_id, 'platform' as source, kind, evidence from platform_lineage
      union all
      select m.id, parent.id, 'enrolment', case m.lineage_evidence when 'sealed template' then 'deployed' else 'unknown' end, coalesce(m.lineage_evidence, '')
      from machine m join machine parent on parent.id = m.lineage_parent
      where m.id <> parent.id and not exists (select 1 from platform_lineage p where p.clone_id = m.id)
        and not exists (select 1 from platform_lineage p where p.clone_id = parent.id and p.parent_id = m.id)`.execute(
      db,
    )
  },
  '2026-11-27-platform-warnings': async (db) => {
    // They were English sentences and are codes now; the next check of a platform tells them again.
    await sql`update platform set identity = jsonb_set(identity, '{warnings}', '[]') where identity is not null`.execute(
      db,
    )
  },
  '2026-11-27-statements-of-lineage': async (db) => {
    // A parent that is null: it was made from no other, it is an original.
    await sql`create table lineage_statement (
      machine_id uuid primary key references machine on delete cascade, parent_id uuid references machine on delete cascade,
      reason text not null, stated_by text not null, at timestamptz not null default now())`.execute(db)
    await sql`create index lineage_statement_parent on lineage_statement (parent_id) where parent_id is not null`.execute(
      db,
    )
    await sql`drop view machine_lineage`.execute(db)
    await sql`drop view platform_lineage`.execute(db)
    // What a person says, then what a platform says, then what enrolment says. Who is said the other way round by
    // better evidence is no clone: enrolment calls the first to come the parent. A parent's asset may be gone: its clones stay.
    await sql`create view platform_lineage as
      select a.machine_id as clone_id, parent.machine_id as parent_id, coalesce(a.parent_kind, 'unknown') as kind,
        coalesce(a.parent_evidence, '') as evidence, a.first_seen_at as at
      from asset a join asset parent on parent.platform_id = a.platform_id and parent.ref = a.parent_ref
      where a.gone_at is null and a.machine_id <> parent.machine_id and not exists (
        select 1 from asset b where b.machine_id = a.machine_id and b.gone_at is null
          and (b.last_seen_at > a.last_seen_at or (b.last_seen_at = a.last_seen_at and b.id < a.id)))`.execute(
      db,
    )
    await sql`create view machine_lineage as
      select s.machine_id as clone_id, s.parent_id, 'operator' as source, 'unknown' as kind, s.reason as evidence, s.at
      from lineage_statement s where s.parent_id is not null
      union all
      select p.clone_id, p.parent_id, 'platform', p.kind, p.evidence, p.at from platform_lineage p
      where not exists (select 1 from lineage_statement s where s.machine_id = p.clone_id)
        and not exists (select 1 from lineage_statement s where s.machine_id = p.parent_id and s.parent_id = p.clone_id)
      union all
      select m.id, parent.id, 'enrolment', case m.lineage_evidence when 'sealed template' then 'deployed' else 'unknown' end,
        coalesce(m.lineage_evidence, ''), m.lineage_at
      from machine m join machine parent on parent.id = m.lineage_parent
      where m.id <> parent.id
        and not exists (select 1 from lineage_statement s where s.machine_id = m.id)
        and not exists (select 1 from lineage_statement s where s.machine_id = parent.id and s.parent_id = m.id)
        and not exists (select 1 from platform_lineage p where p.clone_id = m.id)
        and not exists (select 1 from platform_lineage p where p.clone_id = parent.id and p.parent_id = m.id)`.execute(
      db,
    )
  },
  '2026-11-28-lineage-by-likeness': async (db) => {
    await sql`create table machine_likeness (
      machine_id uuid primary key references machine on delete cascade, parent_id uuid not null references machine on delete cascade,
      at timestamptz not null)`.execute(db)
    await sql`create index machine_likeness_parent on machine_likeness (parent_id)`.execute(db)
    await sql`alter view machine_lineage rename to known_lineage`.execute(db)
    // What manifests tell comes last: only of machines of which nobody else says anything, nor the opposite.
    await sql`create view machine_lineage as
      select clone_id, parent_id, source, kind, evidence, at from known_lineage
      union all
      select k.machine_id, k.parent_id, 'likeness', 'unknown', 'like manifest', k.at from machine_likeness k
      where not exists (select 1 from known_lineage l where l.clone_id = k.machine_id)
        and not exists (select 1 from known_lineage l where l.clone_id = k.parent_id and l.parent_id = k.machine_id)
        and not exists (select 1 from lineage_statement s where s.machine_id = k.machine_id)`.execute(db)
  },
}
