import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const mebibyte = 1024 * 1024

/** The limits of deploy/ringwall-agent.service, for an agent that `ringwall up` runs. */
export const agentLimits: Readonly<Record<string, string>> = {
  'cpu.weight': '20',
  'cpu.max': '200000 100000',
  'io.weight': '20',
  'memory.high': String(256 * mebibyte),
  'memory.max': String(512 * mebibyte),
  'pids.max': '64',
}
const controllers = ['cpu', 'io', 'memory', 'pids']

/** Where cgroup v2 is mounted with the controllers that the limits need; undefined elsewhere. */
function cgroupRoot(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
  const root = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1]
  if (root === undefined) return undefined
  const known = readFileSync(join(root, 'cgroup.controllers'), 'utf8').split(/\s+/)
  return controllers.every((name) => known.includes(name)) ? root : undefined
}

/**
 * A cgroup with the agent's limits, as systemd would make it. Undefined where this is not possible: without root,
 * with cgroup v1, or in a container that does not let its root be divided.
 */
export function createAgentCgroup(
  pidOfOwner: number,
): { add: (pid: number) => void; remove: () => void } | undefined {
  try {
    const root = process.getuid?.() === 0 ? cgroupRoot() : undefined
    if (root === undefined) return undefined
    writeFileSync(join(root, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '))
    const dir = join(root, `ringwall-agent-${pidOfOwner}`)
    mkdirSync(dir)
    for (const [name, value] of Object.entries(agentLimits))
      if (existsSync(join(dir, name))) writeFileSync(join(dir, name), value)
    return {
      add: (pid) => attempt(() => writeFileSync(join(dir, 'cgroup.procs'), String(pid))),
      remove: () => attempt(() => rmdirSync(dir)),
    }
  } catch {
    return undefined
  }
}

/** The agent protects without its limits, too. */
function attempt(work: () => void): void {
  try {
    work()
  } catch {
    // It has ended meanwhile, or is still ending.
  }
}
