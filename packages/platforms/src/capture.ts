/** Field captures: what one platform answered to `check` and `list`, without anything that tells whose it is. */
import { randomBytes } from 'node:crypto'
import {
  isAppError,
  type PlatformCredentials,
  type PlatformKind,
  platformKindSchema,
} from '@ringwall/contracts'
import { z } from 'zod'
import type { Exchange } from './recorder.ts'
import { createSanitiser, type Sanitiser } from './sanitise.ts'
import type { ConnectorDefinition, ConnectorOptions, Inventory, PlatformIdentity } from './types.ts'

export const captureSchema = z.object({
  format: z.literal('ringwall-platform-capture'),
  version: z.literal(1),
  kind: platformKindSchema,
  product: z.string().nullable(),
  productVersion: z.string().nullable(),
  capturedAt: z.iso.datetime(),
  counts: z.object({ clusters: z.number(), hosts: z.number(), machines: z.number() }).nullable(),
  /** Why `check` or `list` ended early; the exchanges until then are here all the same. */
  failure: z.object({ code: z.string(), message: z.string() }).nullable(),
  exchanges: z.array(z.object({ request: z.string(), status: z.number(), body: z.string() })),
})
export type Capture = z.infer<typeof captureSchema>

/** More than this does not become test data. */
const maxRecordedChars = 512 * 1024 * 1024

const commonNames = [
  'hostname',
  'host-name',
  'fqdn',
  'name_label',
  'displayName',
  'computer_name',
  'dns_name',
]
/** Fields that hold names, by platform. In vSphere `name` is the path of a property, so only known names are replaced there. */
const nameFields: Partial<Record<PlatformKind, string[]>> = {
  proxmox: [
    'name',
    'node',
    'pool',
    'storage',
    'clustername',
    'network',
    'iface',
    'searchdomain',
    'nameserver',
  ],
  ovirt: ['name', 'address', 'version_name', 'display_name', 'domain'],
  libvirt: ['name', 'title'],
}

/**
 * Runs `check` and `list` of a connector and answers one document of sanitised exchanges. Credentials, sign-ins, cookies and tokens are
 * never in it. A platform that fails is captured as far as it came; only `aborted` is thrown.
 */
export async function capture(
  definition: ConnectorDefinition,
  options: Omit<ConnectorOptions, 'recorder'>,
  signal: AbortSignal,
): Promise<Capture> {
  const exchanges: Exchange[] = []
  let recordedChars = 0
  const recorder = {
    record: (exchange: Exchange) => {
      recordedChars += exchange.body.length
      if (recordedChars <= maxRecordedChars) exchanges.push(exchange)
    },
  }
  const connector = definition.open({ ...options, recorder })
  let identity: PlatformIdentity | undefined
  let inventory: Inventory | undefined
  let failure: { code: string; message: string } | null = null
  try {
    identity = await connector.check(signal)
    inventory = await connector.list(signal)
  } catch (error) {
    if (signal.aborted || isAppError(error, 'aborted')) throw error
    failure = isAppError(error)
      ? { code: error.code, message: error.message }
      : { code: 'internal', message: error instanceof Error ? error.message : String(error) }
  } finally {
    await connector.close()
  }
  const sanitiser = createSanitiser({
    key: randomBytes(32),
    names: namesIn(inventory, options.address),
    secrets: secretsOf(options.credentials),
    keep: new Set(identity === undefined ? [] : [identity.product]),
    nameFields: new Set([...commonNames, ...(nameFields[definition.kind] ?? [])]),
  })
  return {
    format: 'ringwall-platform-capture',
    version: 1,
    kind: definition.kind,
    product: identity?.product ?? null,
    productVersion: identity?.version ?? null,
    capturedAt: new Date(options.clock.nowMs()).toISOString(),
    counts: inventory
      ? {
          clusters: inventory.clusters.length,
          hosts: inventory.hosts.length,
          machines: inventory.machines.length,
        }
      : null,
    exchanges: sanitiseAll(exchanges, sanitiser),
    failure: failure && { code: failure.code, message: sanitiser.text(failure.message) },
  }
}

/** Twice: the first pass learns the names that fields tell, so that the second finds them in every text before them too. */
function sanitiseAll(exchanges: Exchange[], sanitiser: Sanitiser): Exchange[] {
  for (const { body } of exchanges) sanitiser.body(body)
  return exchanges.map(({ request, status, body }) => ({
    request: sanitiser.text(request),
    status,
    body: sanitiser.body(body),
  }))
}

function* namesIn(inventory: Inventory | undefined, address: string): Generator<string> {
  const host = URL.parse(address.includes('://') ? address : `https://${address}`)?.hostname
  if (host) yield host
  if (inventory === undefined) return
  for (const { name } of inventory.clusters) yield name
  for (const { name, address: hostAddress } of inventory.hosts) {
    yield name
    if (hostAddress) yield hostAddress
  }
  for (const { name, datastores, parent } of inventory.machines) {
    yield name
    yield* datastores
    if (parent?.name) yield parent.name
  }
}

function secretsOf(credentials: PlatformCredentials): string[] {
  if (credentials.kind === 'password') {
    const { username, password } = credentials
    return [password, `${username}:${password}`, username]
  }
  if (credentials.kind === 'token') return [credentials.secret, credentials.tokenId]
  if (credentials.kind === 'ssh-key')
    return [credentials.privateKeyPem, credentials.passphrase ?? '', credentials.username]
  return []
}
