import { describe, expect, it } from 'vitest'
import { machine } from '../testing/fake-connector.ts'
import { mergeDuplicates, osFamilyOf, toAssetValues } from './records.ts'

it('tells Linux and Windows from the names that platforms use', () => {
  const linux = [
    'rhel_8x64',
    'Ubuntu Linux (64-bit)',
    'l26',
    'CentOS Stream 9',
    'Kylin V10',
    'openEuler 22.03',
    'Debian GNU/Linux 12',
  ]
  const windows = [
    'windows2019srv_64Guest',
    'Microsoft Windows Server 2022 (64-bit)',
    'win11',
    'w2k8',
    'windows_2019x64',
  ]
  expect(linux.map(osFamilyOf)).toEqual(linux.map(() => 'linux'))
  expect(windows.map(osFamilyOf)).toEqual(windows.map(() => 'windows'))
  expect([null, 'other', 'FreeBSD 13', 'Darwin 20', 'Other OS'].map(osFamilyOf)).toEqual([
    null,
    null,
    null,
    null,
    null,
  ])
})

describe('records of one machine', () => {
  it('on two hosts leave it where it was known to be, in any order', () => {
    const [first, second] = [machine('1', { hostRef: 'h1' }), machine('1', { hostRef: 'h2' })]
    for (const order of [
      [first, second],
      [second, first],
    ]) {
      expect(mergeDuplicates(order, () => 'h1')).toMatchObject([{ hostRef: 'h1', migratingToRef: 'h2' }])
      expect(mergeDuplicates(order, () => 'h2')).toMatchObject([{ hostRef: 'h2', migratingToRef: 'h1' }])
    }
    expect(mergeDuplicates([machine('1', { hostRef: null }), first], () => undefined)).toMatchObject([
      { hostRef: 'h1' },
    ])
    expect(mergeDuplicates([first, first], () => undefined)).toMatchObject([
      { hostRef: 'h1', migratingToRef: null },
    ])
  })

  it('hold nothing that the database does not take', () => {
    const values = toAssetValues(
      'vsphere',
      machine('1', {
        name: 'a\u0000b\nc',
        macs: ['nonsense', '52-54-00-00-00-0A'],
        uuid: 'x',
        addresses: ['b', 'a', 'a'],
      }),
      { hosts: new Map(), clusters: new Map() },
      'known',
    )
    expect(values).toMatchObject({
      name: 'a b c',
      macs: ['52:54:00:00:00:0a'],
      uuid: null,
      addresses: ['a', 'b'],
      host_id: 'known',
    })
  })
})
