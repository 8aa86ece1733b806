import { statfsSync } from 'node:fs'
import type { ScannerHealth } from '@ringwall/contracts'
import { sql } from 'kysely'
import type { CenterSlice } from '../../app/slice.ts'
import type { Core } from '../../core/core.ts'
import { createOverview } from './overview.ts'

const lowDiskBytes = 1024 ** 3
const rateWindowMs = 10_000

type Component = {
  name: string
  state: 'ok' | 'degraded' | 'down'
  code: string | null
  params: Record<string, string | number | boolean>
}
const ok = (name: string, params: Component['params'] = {}): Component => ({
  name,
  state: 'ok',
  code: null,
  params,
})

function create(core: Core) {
  const { db, clock, pki, config, figures, links, content, databaseFacts, related } = core
  const overview = createOverview(core, related)
  let window = { atMs: performance.now(), events: 0, perSecond: 0 }

  function eventsPerSecond(): number {
    const elapsedMs = performance.now() - window.atMs
    if (elapsedMs < rateWindowMs) return window.perSecond
    window = {
      atMs: performance.now(),
      events: figures.eventsCommitted,
      perSecond: ((figures.eventsCommitted - window.events) * 1000) / elapsedMs,
    }
    return window.perSecond
  }

  async function databaseHealth(): Promise<Component> {
    try {
      await sql`select 1`.execute(db)
      return databaseFacts.isEvaluation
        ? { ...ok('database'), state: 'degraded', code: 'evaluation_database' }
        : ok('database', { version: databaseFacts.version })
    } catch {
      return { name: 'database', state: 'down', code: 'database_unavailable', params: { reason: '' } }
    }
  }

  function diskHealth(): Component {
    const { bavail, bsize } = statfsSync(config.dir)
    const freeBytes = bavail * bsize
    return freeBytes < lowDiskBytes
      ? { name: 'disk', state: 'degraded', code: 'disk_full', params: { path: config.dir, freeBytes } }
      : ok('disk', { freeBytes })
  }

  async function scannerHealth(): Promise<Component[]> {
    const { rows } = await sql<{
      name: string
      link_state: string
      problems: string[] | null
      health: ScannerHealth | null
    }>`
      select name, link_state, heartbeat->'problems' as problems, heartbeat->'scanner' as health from peer where kind = 'scanner' and revoked_at is null order by id limit 64`.execute(
      db,
    )
    if (rows.length === 0) return [{ name: 'scanner', state: 'down', code: 'no_scanner', params: {} }]
    return rows.map(({ name, link_state, problems }) => {
      const component = ok(`scanner ${name}`)
      if (link_state !== 'online') return { ...component, state: 'down', code: 'scanner_offline', params: {} }
      const problem = problems?.[0]
      return problem === undefined ? component : { ...component, state: 'degraded', code: problem }
    })
  }

  return {
    handlers: {
      getOverview: async () => await overview(),
      getAbout: async () => ({
        name: 'Ringwall 环墙',
        version: core.version,
        startedAt: new Date(figures.startedAtMs).toISOString(),
        node: process.version,
        database: databaseFacts,
        contentVersion: content?.version ?? null,
        caHash: pki.caHash,
      }),
      getHealth: async () => {
        const components = [
          ok('center', { uptimeSeconds: Math.round((clock.nowMs() - figures.startedAtMs) / 1000) }),
          await databaseHealth(),
          diskHealth(),
          ...(await scannerHealth()),
        ]
        const has = (state: Component['state']) => components.some((component) => component.state === state)
        return {
          state: has('down') ? 'down' : has('degraded') ? 'degraded' : 'ok',
          components,
          figures: {
            connectedAgents: links.connected().filter(({ kind }) => kind === 'agent').length,
            eventsCommitted: figures.eventsCommitted,
            eventsPerSecond: eventsPerSecond(),
            unknownMessages: figures.unknownMessages,
            refusedConnections: figures.refusedConnections,
            rssBytes: process.memoryUsage.rss(),
          },
        }
      },
      getLiveness: async () => ({ state: 'ok' }),
    },
  } satisfies ReturnType<CenterSlice['create']>
}

/** What the center says of itself and of the whole. */
export const system: CenterSlice = { name: 'system', migrations: {}, create }
