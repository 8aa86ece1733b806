import { connectors as allConnectors } from '@ringwall/platforms'
import { sql } from 'kysely'
import type { CenterSlice } from '../../app/slice.ts'
import type { Core } from '../../core/core.ts'
import { createAssets } from './assets/assets.ts'
import { createImport } from './assets/import.ts'
import { createIssues } from './assets/issues.ts'
import { createTopology } from './assets/topology.ts'
import { createFilters } from './filters.ts'
import { createJoiner } from './joins/joiner.ts'
import { createMachineHandlers } from './machine-handlers.ts'
import { inventoryMigrations } from './migrations.ts'
import { createCredentialSealer } from './platforms/credentials.ts'
import { createHealth } from './platforms/health.ts'
import { createPlatforms } from './platforms/platforms.ts'
import { defaultTimings, type RunnerTimings } from './platforms/runner.ts'
import { type Connectors, createRunners } from './platforms/runners.ts'
import { createProtect } from './protect/protect.ts'
import { createPusher } from './protect/push.ts'

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Machines, the platforms they run on, and what joins the two. `connectors`, `timings`: others than the real ones, for tests. */
export function createInventory(options: { connectors: Connectors; timings?: RunnerTimings }): CenterSlice {
  const { connectors, timings = defaultTimings } = options
  function create(core: Core) {
    const { db, live, config, machines } = core
    const sealer = createCredentialSealer(config.dir)
    const joiner = createJoiner(core)
    const health = createHealth(core)
    const runners = createRunners(
      { ...core, sealer, health, timings, onIdentities: joiner.changed },
      connectors,
    )
    const pusher = createPusher(core)
    machines.onFacts(joiner.changed)
    return {
      handlers: {
        ...createMachineHandlers(core).handlers,
        ...createPlatforms(core, { connectors, sealer, runners }).handlers,
        ...createAssets(core).handlers,
        ...createTopology(core).handlers,
        ...createIssues(core).handlers,
        ...createImport(core, { sealer, onIdentities: joiner.changed }).handlers,
        ...createFilters(core).handlers,
        ...createProtect(core, { pusher }).handlers,
      },
      run: async (signal) => {
        await pusher.recover()
        const { rows } = await sql<{ id: string }>`select id from platform where kind <> 'import'`.execute(db)
        await runners.start(rows.map(({ id }) => id))
        const joining = joiner.run(signal)
        await untilAborted(signal)
        await Promise.all([joining, runners.stop(), pusher.stop()])
      },
      events: {
        'scan.ended': async (tx, { machineId }, event) => {
          await sql`update machine set last_scan_at = greatest(last_scan_at, ${event.at}::timestamptz) where id = ${machineId}`.execute(
            tx,
          )
        },
      },
      link: {
        facts: async (peer, facts) => {
          await sql`update machine set hostname = ${facts.hostname}, facts = ${JSON.stringify(facts)}, pool = ${facts.pool}, hypervisor = ${facts.hypervisor},
            os_name = ${facts.os.name} where id = ${peer.id}`.execute(db)
          joiner.changed()
          live.publish({ type: 'changed', object: 'machine', id: peer.id })
        },
      },
    } satisfies ReturnType<CenterSlice['create']>
  }
  return { name: 'inventory', migrations: inventoryMigrations, create }
}

export const inventory = createInventory({ connectors: allConnectors })
