import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '@ringwall/contracts'

function startTimeOf(pid: number): string | undefined {
  try {
    // Field 22 of proc(5) stat, counted behind the program's name, which may hold spaces.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19]
  } catch {
    return undefined
  }
}

/** Makes sure that one agent works on this state. Throws conflict when another one runs. */
export function lockState(dir: string): void {
  const path = join(dir, 'agent.pid')
  try {
    const [pid, startTime] = readFileSync(path, 'utf8').trim().split(' ')
    const isRunning =
      Number(pid) !== process.pid && startTime !== undefined && startTimeOf(Number(pid)) === startTime
    if (isRunning) throw new AppError('conflict', { kind: 'agent process', id: pid ?? '' })
  } catch (error) {
    if (error instanceof AppError) throw error
  }
  writeFileSync(path, `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`, { mode: 0o600 })
}
