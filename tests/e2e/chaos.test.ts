import { expect, it } from 'vitest'
import { runChaos } from './chaos.ts'

it('says the same of every file when agent, scanner and center are killed during scans', async () => {
  const { killsOf, killsIn, scans } = await runChaos({ kills: 10, files: 2_000, seed: 7 })
  process.stdout.write(`kills by phase: ${JSON.stringify(killsIn)}\n`)
  expect(killsOf.agent + killsOf.scanner + killsOf.center).toBe(10)
  expect(scans).toBeGreaterThan(0)
}, 1_800_000)
