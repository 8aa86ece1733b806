import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ApiClient,
  type ClientTransport,
  createApiClient,
  type MachineFacts,
  type Role,
} from '@ringwall/contracts'
import { createTestDatabase } from '@ringwall/postgres'
import { createLogger, hashToken, type Logger, randomToken, uuidv7 } from '@ringwall/runtime'
import { type Kysely, sql } from 'kysely'
import { buildCenter } from '../../../app/build-center.ts'
import { migrateCenter } from '../../../app/migrate-center.ts'
import { slices } from '../../../app/slices.ts'
import { type CenterConfig, readCenterConfig } from '../../../config.ts'
import type { Core } from '../../../core/core.ts'
import { openPki } from '../../../core/pki.ts'
import { createInventory } from '../inventory.ts'
import type { RunnerTimings } from '../platforms/runner.ts'
import type { Connectors } from '../platforms/runners.ts'

export type TestCenter = {
  core: Core
  db: Kysely<unknown>
  dir: string
  url: string
  /** Clients of users of each role. */
  as: Record<Role, ApiClient>
  /** Everything that was logged, as text. */
  logged: () => string
  close: () => Promise<void>
}

export const quickTimings: RunnerTimings = {
  backoffBaseMs: 20,
  backoffCapMs: 50,
  patientMs: 50,
  hintSettleMs: 20,
  silenceMs: 60_000,
}

function transportTo(url: string, caPem: string): ClientTransport {
  return ({ method, url: path, headers, body }) =>
    new Promise((resolve, reject) => {
      const call = request(new URL(path, url), { method, headers, ca: caPem })
      call.on('error', reject)
      call.on('response', (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += String(chunk)
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      })
      call.end(body)
    })
}

async function clientOf(db: Kysely<unknown>, transport: ClientTransport, role: Role): Promise<ApiClient> {
  const token = `rw_${randomToken()}`
  const userId = uuidv7()
  await sql`insert into app_user (id, name, role, password_hash, must_change_password) values (${userId}, ${role}, ${role}, '', false)`.execute(
    db,
  )
  await sql`insert into api_token (id, name, role, user_id, token_hash) values (${uuidv7()}, 'test', ${role}, ${userId}, ${hashToken(token)})`.execute(
    db,
  )
  return createApiClient(transport, () => ({ authorization: `Bearer ${token}` }))
}

/** An enrolled agent, as the database knows it; it is not connected. */
export async function addAgent(
  { core, db }: TestCenter,
  hostname: string,
  parts: { uuid?: string; macs?: string[]; addresses?: string[] } = {},
): Promise<string> {
  const id = uuidv7()
  const { uuid, macs = [], addresses = [] } = parts
  const facts: MachineFacts = {
    hostname,
    os: { family: 'linux', id: 'debian', name: 'Debian', version: '12', kernel: '6.1', architecture: 'x64' },
    cpu: { model: 'cpu', count: 1 },
    memoryBytes: 1,
    addresses: Array.from({ length: Math.max(macs.length, addresses.length) }, (_, index) => ({
      interface: `eth${index}`,
      address: addresses[index] ?? '127.0.0.1',
      mac: macs[index] ?? '00:00:00:00:00:00',
    })),
    pool: 'virtual',
    poolEvidence: [],
    hypervisor: 'kvm',
    cloudProvider: null,
    dmi: uuid === undefined ? null : { vendor: 'v', product: 'p', uuid },
    bootedAt: '2026-01-01T00:00:00Z',
  }
  await sql`insert into peer (id, kind, name, cert_serial, cert_not_after, cert_fingerprint)
    values (${id}, 'agent', ${hostname}, ${id}, now() + interval '1 day', ${id})`.execute(db)
  await core.machines.create(db, { id, facts, agentVersion: '1' })
  return id
}

/** Resolves with the first answer that is not undefined. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  for (let tries = 0; tries < 600; tries += 1) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`it did not happen: ${what}`)
}

/** A whole center on its own database, with connectors of the test's. */
export async function startTestCenter(
  connectors: Connectors,
  changes: Partial<CenterConfig> = {},
): Promise<TestCenter> {
  const dir = mkdtempSync(join(tmpdir(), 'inventory-'))
  const own = createInventory({ connectors, timings: quickTimings })
  const database = await createTestDatabase('center', migrateCenter)
  const config = readCenterConfig({
    RINGWALL_HOME: dir,
    RINGWALL_PORT: '0',
    RINGWALL_GATEWAY_PORT: '0',
    RINGWALL_BIND: '127.0.0.1',
    RINGWALL_HOST_NAMES: 'localhost',
  })
  const lines: string[] = []
  const logger: Logger = createLogger({
    name: 'test',
    level: 'debug',
    destination: { write: (line) => lines.push(line) },
  })
  const center = await buildCenter({
    config: { ...config, dir, ...changes },
    db: database.db,
    databaseFacts: { version: '15', isManaged: false, isEvaluation: false },
    pki: await openPki({ dir: join(dir, 'pki'), hostNames: ['localhost', '127.0.0.1'] }),
    version: '0.0.0',
    logger,
    slices: slices.map((slice) => (slice.name === own.name ? own : slice)),
  })
  const { port } = await center.listen()
  const url = `https://127.0.0.1:${port}`
  const transport = transportTo(url, center.core.pki.caPem)
  return {
    core: center.core,
    db: database.db,
    dir,
    url,
    as: {
      viewer: await clientOf(database.db, transport, 'viewer'),
      operator: await clientOf(database.db, transport, 'operator'),
      administrator: await clientOf(database.db, transport, 'administrator'),
    },
    logged: () => lines.join('\n'),
    close: async () => {
      await center.close()
      await database.drop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
