import type { PlatformCredentials } from '@ringwall/contracts'
import { silentLogger, systemClock } from '@ringwall/runtime'
import { expect } from 'vitest'
import type { Change, Connector, ConnectorDefinition, ConnectorOptions, Inventory } from '../types.ts'

export const testPassword = 'correct horse battery'
/** Nothing here is meant to be held back. */
const requestsPerSecond = 10_000

export function optionsFor(
  server: { address: string; fingerprint: string },
  credentials: PlatformCredentials,
): ConnectorOptions {
  return {
    address: server.address,
    fingerprint: server.fingerprint,
    credentials,
    requestsPerSecond,
    clock: systemClock,
    logger: silentLogger,
    recorder: undefined,
  }
}

/** A connector to a test server, closed with the scope. */
export function openConnector(
  definition: ConnectorDefinition,
  server: { address: string; fingerprint: string },
  credentials: PlatformCredentials,
): Connector & AsyncDisposable {
  const connector = definition.open(optionsFor(server, credentials))
  return { ...connector, [Symbol.asyncDispose]: () => connector.close() }
}

export const never: AbortSignal = new AbortController().signal

/** Watches from now on; `next` gives what the next poll that saw anything yields, `batch` what the very next one yields. */
export function watching(connector: Connector) {
  const abort = new AbortController()
  const iterator = connector.watch(abort.signal)[Symbol.asyncIterator]()
  const batch = async (): Promise<Change[]> => (await iterator.next()).value ?? []
  return {
    batch,
    next: async () => {
      for (;;) {
        const changes = await batch()
        if (changes.length > 0) return changes
      }
    },
    [Symbol.asyncDispose]: async () => {
      abort.abort()
      await iterator.return?.()
    },
  }
}

export function machineNamed(inventory: Inventory, ref: string) {
  const machine = inventory.machines.find((one) => one.ref === ref)
  if (machine === undefined) throw new Error(`no machine ${ref}`)
  return machine
}

export function expectNoDuplicates(inventory: Inventory): void {
  for (const records of [inventory.clusters, inventory.hosts, inventory.machines])
    expect(new Set(records.map(({ ref }) => ref)).size).toBe(records.length)
}
