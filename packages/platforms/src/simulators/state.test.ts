import { describe, expect, it } from 'vitest'
import { createDataCentre } from './state.ts'

const nowMs = Date.UTC(2026, 0, 1)

describe('simulated data centre', () => {
  it('is the same for the same seed, and says that it is a demonstration', () => {
    const create = (seed: number) => createDataCentre({ seed, nowMs })
    const centre = create(1)
    expect([...centre.machines]).toEqual([...create(1).machines])
    expect([...centre.machines]).not.toEqual([...create(2).machines])
    expect(centre.hosts).toHaveLength(20)
    const machines = [...centre.machines.values()]
    expect(machines.filter(({ kind }) => kind === 'machine')).toHaveLength(500)
    for (const { name, title } of machines) {
      expect(name).toMatch(/^demo-[a-z0-9-]+$/)
      expect(title).toMatch(/^(demo-|演示)/)
    }
    expect(new Set(machines.flatMap(({ macs }) => macs)).size).toBe(machines.length)
    expect(new Set(machines.flatMap(({ addresses }) => addresses)).size).toBe(machines.length)
  })

  it('migrates machines within their cluster as time passes', () => {
    const centre = createDataCentre({ seed: 5, nowMs, migrationsPerMinute: 6 })
    const clusterOf = (hostId: string | null) => centre.hosts.find(({ id }) => id === hostId)?.clusterId
    const homes = new Map([...centre.machines.values()].map(({ id, hostId }) => [id, hostId]))
    centre.tick(nowMs + 10_500)
    const [moving, ...others] = [...centre.machines.values()].filter(
      ({ migratingToId }) => migratingToId !== null,
    )
    expect(others).toEqual([])
    expect(moving?.hostId).toBe(homes.get(moving?.id ?? ''))
    const target = moving?.migratingToId
    centre.tick(nowMs + 19_000)
    expect(moving).toMatchObject({ hostId: target, migratingToId: null })
    for (let second = 20; second <= 600; second += 1) centre.tick(nowMs + second * 1000)
    const moved = [...centre.machines.values()].filter(({ id, hostId }) => homes.get(id) !== hostId)
    expect(moved.length).toBeGreaterThan(30)
    for (const { id, hostId } of moved) expect(clusterOf(hostId)).toBe(clusterOf(homes.get(id) ?? null))
    const done = centre.journal.filter(({ kind }) => kind === 'migration-done').length
    const begun = centre.journal.filter(({ kind }) => kind === 'migration-started').length
    expect(begun - done).toBeLessThanOrEqual(1)
  })
})
