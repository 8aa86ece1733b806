import { swapUuid } from '@ringwall/platforms'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cleanIdentity, duplicateIdentities, type Identity, matchIdentities } from './match.ts'

const uuid = '564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6'
const otherUuid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
const identity = (id: string, parts: Partial<Identity> = {}): Identity =>
  cleanIdentity({ id, uuid: null, macs: [], addresses: [], ...parts })

describe('joins', () => {
  it('finds an SMBIOS uuid in both byte orders and in any spelling', () => {
    for (const told of [uuid, swapUuid(uuid), uuid.toUpperCase(), uuid.replaceAll('-', '')]) {
      const { joins, issues } = matchIdentities([identity('a', { uuid })], [identity('m', { uuid: told })])
      expect(joins).toMatchObject([{ assetId: 'a', machineId: 'm' }])
      expect(joins[0]?.evidence).toContain(uuid)
      expect(issues).toEqual([])
    }
  })

  it('takes MACs where there is no uuid, addresses where there is neither', () => {
    const assets = [
      identity('a', { macs: ['52:54:00:00:00:01'] }),
      identity('b', { addresses: ['10.0.0.7'] }),
      identity('c', { uuid: otherUuid, macs: ['52:54:00:00:00:09'] }),
    ]
    const machines = [
      identity('m', { uuid, macs: ['52-54-00-00-00-01', '02:42:00:00:00:01'] }),
      identity('n', { uuid, macs: ['52:54:00:00:00:02'], addresses: ['10.0.0.7', '127.0.0.1'] }),
    ]
    expect(matchIdentities(assets, machines).joins).toEqual([
      { assetId: 'a', machineId: 'm', evidence: 'mac 52:54:00:00:00:01' },
      { assetId: 'b', machineId: 'n', evidence: 'address 10.0.0.7' },
    ])
  })

  it('does not join by a MAC where the uuids differ, nor by what every machine has', () => {
    const macs = ['52:54:00:00:00:01']
    expect(
      matchIdentities(
        [identity('a', { uuid, macs }), identity('b', { addresses: ['127.0.0.1', 'fe80::1%eth0'] })],
        [identity('m', { uuid: otherUuid, macs, addresses: ['127.0.0.1', 'fe80::1'] })],
      ),
    ).toEqual({ joins: [], issues: [] })
  })

  it('tells copies with one uuid apart by their MACs, and says so where that does not work', () => {
    const copy = (id: string, mac: string) => identity(id, { uuid, macs: [mac] })
    const [first, second] = ['52:54:00:00:00:01', '52:54:00:00:00:02'] as const
    expect(
      matchIdentities([copy('a', first), copy('b', second)], [copy('m', second), copy('n', first)])
        .joins.map(({ assetId, machineId }) => assetId + machineId)
        .sort(),
    ).toEqual(['an', 'bm'])
    expect(matchIdentities([copy('a', first), copy('b', first)], [copy('m', first)])).toEqual({
      joins: [],
      issues: [{ kind: 'join_several', value: uuid, assetIds: ['a', 'b'], machineIds: ['m'] }],
    })
    expect(matchIdentities([copy('a', first)], [copy('m', first), copy('n', first)])).toEqual({
      joins: [],
      issues: [{ kind: 'join_ambiguous', value: uuid, assetIds: ['a'], machineIds: ['m', 'n'] }],
    })
  })

  it('never joins anything twice, and comes to the same in any order', () => {
    const some = (prefix: string) =>
      fc
        .array(
          fc.record({
            uuid: fc.constantFrom(null, uuid, swapUuid(uuid), otherUuid),
            macs: fc.subarray(['52:54:00:00:00:01', '52:54:00:00:00:02', '52:54:00:00:00:03']),
            addresses: fc.subarray(['10.0.0.1', '10.0.0.2', '127.0.0.1']),
          }),
          { maxLength: 8 },
        )
        .map((list) => list.map((parts, index) => identity(`${prefix}${index}`, parts)))
    const sorted = ({ joins, issues }: ReturnType<typeof matchIdentities>) => [
      joins.map((join) => JSON.stringify(join)).sort(),
      issues.map((issue) => JSON.stringify(issue)).sort(),
    ]
    fc.assert(
      fc.property(some('a'), some('m'), (assets, machines) => {
        const result = matchIdentities(assets, machines)
        const assetIds = result.joins.map(({ assetId }) => assetId)
        const machineIds = result.joins.map(({ machineId }) => machineId)
        expect(new Set(assetIds).size).toBe(assetIds.length)
        expect(new Set(machineIds).size).toBe(machineIds.length)
        for (const issue of result.issues) {
          expect(issue.assetIds.some((id) => assetIds.includes(id))).toBe(false)
          expect(issue.machineIds.some((id) => machineIds.includes(id))).toBe(false)
        }
        expect(sorted(matchIdentities(assets.toReversed(), machines.toReversed()))).toEqual(sorted(result))
      }),
    )
  })
})

describe('duplicates', () => {
  it('are one issue for a uuid and its MAC, and another where only the MAC is the same', () => {
    const macs = ['52:54:00:00:00:01']
    expect(duplicateIdentities([identity('a', { uuid, macs }), identity('b', { uuid, macs })])).toEqual([
      { kind: 'duplicate_uuid', value: uuid, assetIds: ['a', 'b'], machineIds: [] },
    ])
    expect(
      duplicateIdentities([identity('a', { uuid, macs }), identity('b', { uuid: otherUuid, macs })]),
    ).toMatchObject([{ kind: 'duplicate_mac', value: macs[0] }])
    const zero = '00000000-0000-0000-0000-000000000000'
    expect(duplicateIdentities([identity('a', { uuid: zero }), identity('b', { uuid: zero })])).toEqual([])
  })
})
