import type { SlotLimits, SlotPlace } from './types.ts'

export type ResourceKind = 'machine' | 'host' | 'datastore' | 'scanner' | 'total'
export type Resource = { kind: ResourceKind; name: string; limit: number; used: number; reserved: number }

/** How much of each limit is taken. A scan takes its machine, host, datastores, one of the scanners, and one of all. */
export function createUsage(limits: SlotLimits, scannerIds: readonly string[]) {
  const resources = new Map<string, Resource>()
  const scanners = new Map(
    [...scannerIds].sort().map((id) => [id, { limit: limits.scanners[id] ?? limits.perScanner, used: 0 }]),
  )
  /** Any scanner will do: one resource, full when all are. */
  const pool: Resource = { kind: 'scanner', name: '', limit: 0, used: 0, reserved: 0 }
  const total: Resource = { kind: 'total', name: '', limit: limits.total, used: 0, reserved: 0 }

  function resource(kind: 'machine' | 'host' | 'datastore', name: string): Resource {
    const key = `${kind}:${name}`
    let found = resources.get(key)
    if (found === undefined) {
      const limit =
        kind === 'machine'
          ? 1
          : kind === 'host'
            ? (limits.hosts[name] ?? limits.perHost)
            : (limits.datastores[name] ?? limits.perDatastore)
      found = { kind, name, limit, used: 0, reserved: 0 }
      resources.set(key, found)
    }
    return found
  }

  const poolFree = () => {
    let free = 0
    for (const { limit, used } of scanners.values()) free += Math.max(0, limit - used)
    return free
  }

  return {
    resource,
    /** What a machine needs, in the order in which it is told what it waits for. */
    needsOf: (place: { hostId: string | null; datastores: readonly string[] }): Resource[] => [
      ...(place.hostId === null ? [] : [resource('host', place.hostId)]),
      ...place.datastores.map((name) => resource('datastore', name)),
      pool,
      total,
    ],
    freeOf: (of: Resource) => (of === pool ? poolFree() : of.limit - of.used) - of.reserved,
    isFull: (of: Resource) => (of === pool ? poolFree() : of.limit - of.used) <= 0,
    /** The scanner with the most free slots; null when all are full. */
    freeScanner: (): string | null => {
      let best: string | null = null
      let bestFree = 0
      for (const [id, { limit, used }] of scanners)
        if (limit - used > bestFree) {
          best = id
          bestFree = limit - used
        }
      return best
    },
    /** The scanner with the most free slots, or the least overloaded. */
    anyScanner: (): string | null =>
      [...scanners].sort(([, a], [, b]) => b.limit - b.used - (a.limit - a.used))[0]?.[0] ?? null,
    hasScanner: (id: string) => scanners.has(id),
    count: (machineId: string, place: SlotPlace, by: 1 | -1): void => {
      resource('machine', machineId).used += by
      if (place.hostId !== null) resource('host', place.hostId).used += by
      for (const name of place.datastores) resource('datastore', name).used += by
      const scanner = place.scannerId === null ? undefined : scanners.get(place.scannerId)
      if (scanner !== undefined) scanner.used += by
      total.used += by
    },
  }
}
export type Usage = ReturnType<typeof createUsage>
