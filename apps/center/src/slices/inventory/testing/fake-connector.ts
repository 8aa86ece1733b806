import { AppError, type PlatformKind } from '@ringwall/contracts'
import type {
  Change,
  ConnectorDefinition,
  ConnectorOptions,
  HostRecord,
  Inventory,
  MachineRecord,
} from '@ringwall/platforms'

export const goodFingerprint = `sha256:${'a'.repeat(64)}`
const address = 'fake.example'

/** A platform that does what a test says: its state, what it yields, and what goes wrong. */
export type FakePlatform = {
  definition: ConnectorDefinition
  inventory: Inventory
  /** Thrown by the next calls of `check` or `list`, one each. */
  failures: { check: unknown[]; list: unknown[] }
  /** Yields a batch from `watch`; resolves when the center asks for the next one. */
  yield: (changes: Change[]) => Promise<void>
  calls: { check: number; list: number; closed: number }
  opened: ConnectorOptions[]
}

export function machine(ref: string, parts: Partial<MachineRecord> = {}): MachineRecord {
  return {
    ref,
    name: `vm ${ref}`,
    isTemplate: false,
    hostRef: 'h1',
    migratingToRef: null,
    clusterRef: 'c1',
    power: 'on',
    uuid: null,
    macs: [],
    addresses: [],
    guestOs: 'Ubuntu Linux (64-bit)',
    datastores: ['ds1'],
    parent: null,
    ...parts,
  }
}

export function host(ref: string, parts: Partial<HostRecord> = {}): HostRecord {
  return {
    ref,
    name: `host ${ref}`,
    clusterRef: 'c1',
    address: null,
    uuid: null,
    state: 'up',
    version: '1.0',
    ...parts,
  }
}

export function smallInventory(machines: MachineRecord[] = []): Inventory {
  return { clusters: [{ ref: 'c1', name: 'cluster 1' }], hosts: [host('h1'), host('h2')], machines }
}

type Waiting = { changes: Change[]; taken: () => void }

export function createFakePlatform(kind: PlatformKind = 'ovirt'): FakePlatform {
  const queue: Waiting[] = []
  let wake = () => {}
  const fake: FakePlatform = {
    inventory: smallInventory(),
    failures: { check: [], list: [] },
    calls: { check: 0, list: 0, closed: 0 },
    opened: [],
    yield: (changes) =>
      new Promise((resolve) => {
        queue.push({ changes, taken: resolve })
        wake()
      }),
    definition: {
      kind,
      capabilities: {
        changes: 'push',
        lineage: 'native',
        templates: true,
        guestAddresses: true,
        credentialKinds: ['password'],
        verified: 'recording',
        addressExample: address,
      },
      validateAddress: (text) => {
        if (text !== address)
          throw new AppError('platform_address_invalid', { address: text, reason: `expected ${address}` })
      },
      fingerprint: async () => goodFingerprint,
      open: (options) => {
        fake.opened.push(options)
        if (options.fingerprint !== goodFingerprint)
          return broken(new AppError('certificate_untrusted', { address, reason: 'another fingerprint' }))
        return {
          check: async () => {
            fake.calls.check += 1
            const failure = fake.failures.check.shift()
            if (failure !== undefined) throw failure
            return { product: 'Fake', version: '1', instanceId: 'fake-1', warnings: [] }
          },
          list: async (_signal, onProgress) => {
            fake.calls.list += 1
            const failure = fake.failures.list.shift()
            onProgress?.(1)
            if (failure !== undefined) throw failure
            return structuredClone(fake.inventory)
          },
          watch: async function* (signal) {
            signal.addEventListener('abort', () => wake())
            while (!signal.aborted) {
              const next = queue.shift()
              if (next === undefined) {
                await new Promise<void>((resolve) => {
                  wake = resolve
                })
                continue
              }
              try {
                yield next.changes
              } finally {
                next.taken()
              }
            }
          },
          close: async () => {
            fake.calls.closed += 1
          },
        }
      },
    },
  }
  const broken = (error: AppError) => ({
    check: async () => {
      throw error
    },
    list: async () => {
      throw error
    },
    // biome-ignore lint/correctness/useYield: it only fails
    watch: async function* () {
      throw error
    },
    close: async () => {},
  })
  return fake
}
