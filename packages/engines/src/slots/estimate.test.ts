import { expect, it } from 'vitest'
import { defaultDurationMs, estimateDurations } from './estimate.ts'

it('goes by the machine itself, then its clones and template, then its pool', () => {
  const history = (
    machineId: string,
    durationsMs: number[],
    parentMachineId: string | null,
    pool = 'virtual',
  ) => ({
    machineId,
    parentMachineId,
    pool,
    durationsMs,
  })
  const estimates = estimateDurations([
    history('template', [600], null),
    history('clone-1', [20, 40, 30], 'template'),
    history('clone-2', [], 'template'),
    history('only-clone', [], 'template-2'),
    history('template-2', [90], null),
    history('stranger', [], null),
    history('cloud', [], null, 'cloud'),
  ])
  expect(Object.fromEntries(estimates)).toEqual({
    template: { durationMs: 600, basis: 'own' },
    'clone-1': { durationMs: 30, basis: 'own' },
    'clone-2': { durationMs: 30, basis: 'lineage' },
    'only-clone': { durationMs: 90, basis: 'lineage' },
    'template-2': { durationMs: 90, basis: 'own' },
    stranger: { durationMs: 90, basis: 'pool' },
    cloud: { durationMs: defaultDurationMs, basis: 'default' },
  })
})
