import { join } from 'node:path'

export const programNames = ['center', 'scanner', 'agent'] as const
export type ProgramName = (typeof programNames)[number]

/**
 * Node flags by program. The agent trades peak speed for a small footprint on every machine: garbage is collected in one
 * go and the heap made compact, since marking beside the work lets it grow to twice its size meanwhile. The center lets
 * less garbage lie around while it takes in large inventories; that costs no time that could be measured. The agent
 * compiles without a thread beside it: one that waits for a collection when the program exits waits for ever, and the
 * exit with it.
 */
export const nodeFlags: Record<ProgramName, string[]> = {
  center: ['--max-semi-space-size=4'],
  scanner: [],
  agent: [
    '--max-semi-space-size=1',
    '--initial-old-space-size=16',
    '--max-old-space-size=40',
    '--v8-pool-size=1',
    '--no-opt',
    '--optimize-for-size',
    '--single-threaded',
    '--no-incremental-marking',
    '--expose-gc',
  ],
}

/**
 * What a program needs in its environment before it starts (mallopt(3), sizes in bytes): few arenas, which each keep
 * what was freed. Blocks above the agent's thresholds go back to the system; those of its streams, 64 KiB, are below.
 */
export const nodeEnv: Record<ProgramName, Record<string, string>> = {
  center: { MALLOC_ARENA_MAX: '2' },
  scanner: { MALLOC_ARENA_MAX: '2' },
  agent: {
    MALLOC_ARENA_MAX: '1',
    MALLOC_MMAP_THRESHOLD_: '131072',
    MALLOC_TRIM_THRESHOLD_: '131072',
    UV_THREADPOOL_SIZE: '2',
  },
}

/** The argument vector and environment that run a program's bundle, which lies beside this one. */
export function programCommand(
  name: ProgramName,
  args: string[],
  home: string,
): { file: string; args: string[]; env: NodeJS.ProcessEnv } {
  return {
    file: process.execPath,
    args: [...nodeFlags[name], join(import.meta.dirname, `${name}.js`), ...args],
    env: { ...process.env, ...nodeEnv[name], RINGWALL_HOME: home },
  }
}
