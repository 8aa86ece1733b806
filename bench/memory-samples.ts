/** Memory of a process and of its children, as the kernel counts it. */
import { readdirSync, readFileSync } from 'node:fs'

/** `helpers` are its descendants, pages that they share counted by each. */
export type MemorySample = {
  rssBytes: number
  anonymousBytes: number
  helpers: { name: string; rssBytes: number }[]
}

const kib = (text: string, field: string) =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    try {
      const text = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim()
      return text === '' ? [] : text.split(' ').map(Number)
    } catch {
      // The thread ended meanwhile.
      return []
    }
  })
}

function helpersOf(pid: number): MemorySample['helpers'] {
  return childrenOf(pid).flatMap((child) => {
    try {
      const status = readFileSync(`/proc/${child}/status`, 'utf8')
      const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? '?'
      return [{ name, rssBytes: kib(status, 'VmRSS') }, ...helpersOf(child)]
    } catch {
      return []
    }
  })
}

/** Reads smaps_rollup (proc(5)), which is exact where the counters of `status` may lag behind. */
export function sampleMemory(pid: number): MemorySample {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const [rssBytes, anonymousBytes] = [kib(rollup, 'Rss'), kib(rollup, 'Anonymous')]
  return { rssBytes, anonymousBytes, helpers: helpersOf(pid) }
}
