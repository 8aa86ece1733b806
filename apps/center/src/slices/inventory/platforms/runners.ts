import type { PlatformKind } from '@ringwall/contracts'
import type { ConnectorDefinition } from '@ringwall/platforms'
import { findPlatform } from './platform-rows.ts'
import { type Runner, type RunnerDeps, startRunner } from './runner.ts'

export type Connectors = Partial<Record<PlatformKind, ConnectorDefinition>>

/** The runners of all platforms. Changes of one platform come one after the other. */
export function createRunners(deps: RunnerDeps, connectors: Connectors) {
  const runners = new Map<string, Runner>()
  const queues = new Map<string, Promise<void>>()
  let isRunning = false

  async function restartNow(id: string): Promise<void> {
    const old = runners.get(id)
    runners.delete(id)
    await old?.stop()
    if (!isRunning) return
    const platform = await findPlatform(deps.db, id)
    if (platform === undefined || platform.kind === 'import') return
    if (platform.is_enabled) runners.set(id, startRunner(deps, platform, connectors[platform.kind]))
    else await deps.health.state(id, 'disabled')
  }

  /** Ends the runner of a platform and starts one with what the database says now; none for what is gone or disabled. */
  async function restart(id: string): Promise<void> {
    const next = (queues.get(id) ?? Promise.resolve()).then(() => restartNow(id))
    const settled = next.catch(() => undefined)
    queues.set(id, settled)
    await next
    if (queues.get(id) === settled) queues.delete(id)
  }

  return {
    restart,
    /** False where nothing runs. */
    sync: (id: string): boolean => {
      const runner = runners.get(id)
      runner?.sync()
      return runner !== undefined
    },
    start: async (ids: string[]) => {
      isRunning = true
      await Promise.all(ids.map(restart))
    },
    stop: async () => {
      isRunning = false
      await Promise.all([...queues.values()])
      await Promise.all([...runners.values()].map((runner) => runner.stop()))
      runners.clear()
    },
  }
}
export type Runners = ReturnType<typeof createRunners>
