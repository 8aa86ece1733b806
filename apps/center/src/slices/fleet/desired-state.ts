import { createHash } from 'node:crypto'
import {
  type DesiredScannerState,
  type DesiredState,
  malwarePolicySchema,
  type ScannerEndpoint,
} from '@ringwall/contracts'
import { sign } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { SliceParts } from '../../app/slice.ts'
import type { Core, Db, Desired } from '../../core/core.ts'
import { findPeer, type PeerRow } from './peer-store.ts'

/** Changes within this time become one push. */
const settleMs = 30
const parallelPushes = 8

async function scannerEndpoints(db: Db): Promise<ScannerEndpoint[]> {
  const { rows } =
    await sql<PeerRow>`select * from peer where kind = 'scanner' and revoked_at is null order by link_state = 'online' desc, id limit 64`.execute(
      db,
    )
  return rows.map(({ id, addresses }) => ({ id, addresses }))
}

type Unsigned = Omit<DesiredState, 'version'> | Omit<DesiredScannerState, 'version'>

/**
 * Desired states: merged from what the slices want, versioned (the version grows only when the content changed),
 * signed and pushed to who is connected. Keyed by identity, never by host or address.
 */
export function createDesired(
  options: Pick<Core, 'db' | 'pki' | 'links' | 'logger'> & { core: () => Core; slices: () => SliceParts[] },
): Desired & { push: (id: string) => Promise<void> } {
  const { db, pki, links, logger } = options
  let waiting: Set<string> | 'all' = new Set()
  let timer: NodeJS.Timeout | undefined

  async function compose(peer: PeerRow): Promise<Unsigned> {
    if (peer.kind === 'scanner') {
      const content = options.core().content
      const wanted = await Promise.all(
        options.slices().map(async ({ desiredScanner }) => await desiredScanner?.(db, peer.id)),
      )
      return {
        scannerId: peer.id,
        flushes: wanted.flatMap((part) => part?.flushes ?? []),
        content:
          content === undefined
            ? null
            : {
                version: content.version,
                sha256: content.sha256,
                sizeBytes: content.sizeBytes,
                signature: content.signature,
              },
      }
    }
    const parts = await Promise.all(options.slices().map(async ({ desired }) => await desired?.(db, peer.id)))
    const merged = {
      policyRevision: 0,
      malware: malwarePolicySchema.parse({}),
      decisions: [],
      allowances: [],
      ...Object.assign({}, ...parts),
    }
    const tasks = parts.flatMap((part) => part?.tasks ?? [])
    return { machineId: peer.id, ...merged, scanners: await scannerEndpoints(db), tasks }
  }

  /** The signed state of a peer; a new version when it differs from the stored one. */
  async function current(id: string): Promise<{ version: number; payload: string } | undefined> {
    const peer = await findPeer(db, id)
    if (peer === undefined || peer.revoked_at !== null) return undefined
    const unsigned = await compose(peer)
    const hash = createHash('sha256').update(JSON.stringify(unsigned)).digest('hex')
    if (hash === peer.desired_hash && peer.desired_payload !== null)
      return { version: peer.desired_version, payload: peer.desired_payload }
    const version = peer.desired_version + 1
    const payload = JSON.stringify({ version, ...unsigned })
    const { numAffectedRows } =
      await sql`update peer set desired_version = ${version}, desired_hash = ${hash}, desired_payload = ${payload}
      where id = ${id} and desired_version = ${peer.desired_version}`.execute(db)
    // Somebody else was faster: take theirs, it is at least as new.
    return numAffectedRows === 0n ? await current(id) : { version, payload }
  }

  async function push(id: string): Promise<void> {
    if (!links.isConnected(id)) return
    const state = await current(id)
    if (state !== undefined)
      links.send(id, 'desired', {
        payload: state.payload,
        signature: sign(pki.policyKey.privatePem, Buffer.from(state.payload)),
      })
  }

  async function flush(): Promise<void> {
    timer = undefined
    const connected = links.connected().map(({ id }) => id)
    const ids = waiting === 'all' ? connected : connected.filter((id) => (waiting as Set<string>).has(id))
    waiting = new Set()
    const next = ids.values()
    await Promise.all(
      Array.from({ length: parallelPushes }, async () => {
        for (const id of next)
          await push(id).catch((error: unknown) =>
            logger.error({ error, id }, 'a desired state could not be pushed'),
          )
      }),
    )
  }

  return {
    push,
    changed: (ids) => {
      if (ids === 'all' || waiting === 'all') waiting = 'all'
      else for (const id of ids) waiting.add(id)
      if (timer === undefined) timer = setTimeout(() => void flush(), settleMs)
    },
  }
}
