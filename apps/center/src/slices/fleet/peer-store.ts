import type { Scanner, UpMessages } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { Db } from '../../core/core.ts'
import type { IssuedCertificate } from '../../core/pki.ts'

export type PeerRow = {
  id: string
  kind: 'agent' | 'scanner'
  name: string
  revoked_at: Date | null
  instance_id: string
  boot_id: string
  process_nonce: string
  ratchet: string
  previous_ratchet: string
  addresses: { host: string; port: number }[]
  software_version: string | null
  cert_serial: string
  desired_version: number
  desired_hash: string
  desired_payload: string | null
  applied_version: number
  link_state: 'online' | 'offline' | 'never'
  last_seen_at: Date | null
  heartbeat: UpMessages['heartbeat'] | null
}

export async function insertPeer(
  db: Db,
  peer: {
    id: string
    kind: 'agent' | 'scanner'
    name: string
    softwareVersion: string
    addresses: { host: string; port: number }[]
    certificate: IssuedCertificate
  },
): Promise<void> {
  const { serial, notAfter, fingerprint } = peer.certificate
  await sql`insert into peer (id, kind, name, software_version, addresses, cert_serial, cert_not_after, cert_fingerprint)
    values (${peer.id}, ${peer.kind}, ${peer.name}, ${peer.softwareVersion}, ${JSON.stringify(peer.addresses)}, ${serial}, ${notAfter}, ${fingerprint})`.execute(
    db,
  )
}

export async function findPeer(db: Db, id: string): Promise<PeerRow | undefined> {
  return (await sql<PeerRow>`select * from peer where id = ${id}`.execute(db)).rows[0]
}

export async function renewPeer(
  db: Db,
  id: string,
  { serial, notAfter, fingerprint }: IssuedCertificate,
): Promise<void> {
  await sql`update peer set cert_serial = ${serial}, cert_not_after = ${notAfter}, cert_fingerprint = ${fingerprint} where id = ${id}`.execute(
    db,
  )
}

/** Hands out a ratchet: what was the current one stays acceptable until the new one is confirmed. */
export async function welcomePeer(
  db: Db,
  id: string,
  hello: UpMessages['hello'],
  ratchet: string,
): Promise<void> {
  const addresses = hello.addresses === undefined ? null : JSON.stringify(hello.addresses)
  await sql`update peer set instance_id = ${hello.instanceId}, boot_id = ${hello.bootId}, process_nonce = ${hello.processNonce},
      previous_ratchet = case when ratchet = ${hello.ratchet} or ratchet = '' then ratchet else ${hello.ratchet} end, ratchet = ${ratchet},
      software_version = ${hello.softwareVersion}, addresses = coalesce(${addresses}::jsonb, addresses), applied_version = ${hello.appliedVersion},
      link_state = 'online', last_seen_at = now() where id = ${id}`.execute(db)
}

export async function setOffline(db: Db, ids: string[]): Promise<void> {
  if (ids.length > 0)
    await sql`update peer set link_state = 'offline' where id = any(${ids}) and link_state = 'online'`.execute(
      db,
    )
}

export async function saveHeartbeat(db: Db, id: string, heartbeat: UpMessages['heartbeat']): Promise<void> {
  await sql`update peer set heartbeat = ${JSON.stringify(heartbeat)}, last_seen_at = now(), link_state = 'online' where id = ${id}`.execute(
    db,
  )
}

export function toScanner(row: PeerRow): Scanner {
  return {
    id: row.id,
    name: row.name,
    addresses: row.addresses,
    linkState: row.link_state,
    softwareVersion: row.software_version,
    lastSeenAt: row.last_seen_at?.toISOString() ?? null,
    health: row.heartbeat?.scanner ?? null,
  }
}
