import type { Json, Site } from './harness.ts'

export type Interval = { machineId: string; host: string; fromMs: number; toMs: number }

/**
 * When each machine was scanned, from the events of its own agent. A killed agent tells no end: `kills` says when
 * it was killed.
 */
export async function scanIntervals(
  site: Pick<Site, 'list'>,
  hostOf: ReadonlyMap<string, string>,
  scanIds: readonly string[],
  kills: ReadonlyMap<string, number> = new Map(),
): Promise<Interval[]> {
  const intervals: Interval[] = []
  for (const [machineId, host] of hostOf) {
    const events = (await site.list(`/machines/${machineId}/events`))
      .filter(
        ({ type, body }) => /^scan\./.test(String(type)) && scanIds.includes(String((body as Json).scanId)),
      )
      .map(({ type, at }) => ({ type: String(type), atMs: Date.parse(String(at)) }))
    const killedAtMs = kills.get(machineId)
    if (killedAtMs !== undefined) events.push({ type: 'killed', atMs: killedAtMs })
    events.sort((a, b) => a.atMs - b.atMs)
    let openedAtMs: number | undefined
    for (const { type, atMs } of events) {
      if (type === 'scan.started' || type === 'scan.resumed') openedAtMs ??= atMs
      else if (openedAtMs !== undefined) {
        intervals.push({ machineId, host, fromMs: openedAtMs, toMs: atMs })
        openedAtMs = undefined
      }
    }
    if (openedAtMs !== undefined)
      intervals.push({ machineId, host, fromMs: openedAtMs, toMs: Number.POSITIVE_INFINITY })
  }
  return intervals
}

/** The most machines that were scanned at once, on each host and in all. */
export function peaksOf(intervals: readonly Interval[]): { perHost: Map<string, number>; total: number } {
  const peakOf = (some: readonly Interval[]) => {
    const edges = some.flatMap(({ fromMs, toMs }) => [
      { atMs: fromMs, by: 1 },
      { atMs: toMs, by: -1 },
    ])
    edges.sort((a, b) => a.atMs - b.atMs || a.by - b.by)
    let running = 0
    let peak = 0
    for (const { by } of edges) {
      running += by
      peak = Math.max(peak, running)
    }
    return peak
  }
  const byHost = Map.groupBy(intervals, ({ host }) => host)
  return {
    perHost: new Map([...byHost].map(([host, some]) => [host, peakOf(some)])),
    total: peakOf(intervals),
  }
}
