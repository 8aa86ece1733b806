import type { DurationBasis } from '@ringwall/contracts'

export type ScanHistory = {
  machineId: string
  parentMachineId: string | null
  pool: string
  /** Durations of its last scans of the same extent. */
  durationsMs: readonly number[]
}
export type Estimate = { durationMs: number; basis: DurationBasis }

/** Of a machine of which nothing at all is known. */
export const defaultDurationMs = 15 * 60_000

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/**
 * How long each machine's scan will take: as long as its own last ones; without those as the other clones of its
 * template, or the template itself; then as the machines of its pool.
 */
export function estimateDurations(histories: readonly ScanHistory[]): Map<string, Estimate> {
  const own = new Map<string, number>()
  const ofFamily = new Map<string, number[]>()
  const ofPool = new Map<string, number[]>()
  const append = (map: Map<string, number[]>, key: string, value: number) => {
    const list = map.get(key)
    if (list === undefined) map.set(key, [value])
    else list.push(value)
  }
  for (const { machineId, parentMachineId, pool, durationsMs } of histories) {
    const value = median(durationsMs)
    if (value === undefined) continue
    own.set(machineId, value)
    if (parentMachineId !== null) append(ofFamily, parentMachineId, value)
    append(ofPool, pool, value)
  }
  const familyMedian = new Map([...ofFamily].map(([id, values]) => [id, median(values)]))
  const poolMedian = new Map([...ofPool].map(([pool, values]) => [pool, median(values)]))
  return new Map(
    histories.map(({ machineId, parentMachineId, pool }): [string, Estimate] => {
      const self = own.get(machineId)
      if (self !== undefined) return [machineId, { durationMs: self, basis: 'own' }]
      const lineage =
        parentMachineId === null
          ? familyMedian.get(machineId)
          : (familyMedian.get(parentMachineId) ?? own.get(parentMachineId))
      if (lineage !== undefined) return [machineId, { durationMs: lineage, basis: 'lineage' }]
      const pooled = poolMedian.get(pool)
      if (pooled !== undefined) return [machineId, { durationMs: pooled, basis: 'pool' }]
      return [machineId, { durationMs: defaultDurationMs, basis: 'default' }]
    }),
  )
}
