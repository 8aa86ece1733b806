import { readFileSync } from 'node:fs'

export type ReadText = (path: string) => string | undefined

export const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Where the cgroup v2 of this process is; undefined without one of its own. */
export function findOwnCgroup(read: ReadText): { name: string; dir: string } | undefined {
  const name = /^0::(\/.+)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1]
  const mount = /^\S+ (\S+) cgroup2 /m.exec(read('/proc/self/mounts') ?? '')?.[1]
  return name === undefined || name === '/' || mount === undefined
    ? undefined
    : { name, dir: `${mount}${name}` }
}

/**
 * The `some` total of a PSI file in milliseconds: how long at least one task had to wait so far (kernel
 * Documentation/accounting/psi.rst).
 */
export function parsePressureMs(text: string | undefined): number | undefined {
  const total = /^some .*\btotal=(\d+)/m.exec(text ?? '')?.[1]
  return total === undefined ? undefined : Number(total) / 1000
}
