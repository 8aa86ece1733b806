import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { agentLimits } from './agent-cgroup.ts'

it('holds the agent of `ringwall up` to the limits of the unit', () => {
  const unit = readFileSync(join(import.meta.dirname, '../../../deploy/ringwall-agent.service'), 'utf8')
  const of = (name: string) => new RegExp(`^${name}=(\\d+)`, 'm').exec(unit)?.[1] ?? ''
  const mebibytes = (name: string) => String(Number(of(name)) * 1024 * 1024)
  expect(agentLimits).toEqual({
    'cpu.weight': of('CPUWeight'),
    'cpu.max': `${Number(of('CPUQuota')) * 1000} 100000`,
    'io.weight': of('IOWeight'),
    'memory.high': mebibytes('MemoryHigh'),
    'memory.max': mebibytes('MemoryMax'),
    'pids.max': of('TasksMax'),
  })
})
