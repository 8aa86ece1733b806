import { machineFactsSchema } from '@ringwall/contracts'
import { describe, expect, it } from 'vitest'
import { parseOsRelease, placeOf, readFacts, readInstanceId } from './linux.ts'

const machine = (files: Record<string, string>) => (path: string) =>
  files[path.replace('/sys/class/dmi/id/', '')]

describe('where a machine runs', () => {
  it.each([
    ['a server', { sys_vendor: 'Dell Inc.', product_name: 'PowerEdge R750' }, 'physical', null, null],
    ['vSphere', { sys_vendor: 'VMware, Inc.', product_name: 'VMware7,1' }, 'virtual', 'vmware', null],
    ['KVM', { sys_vendor: 'QEMU', product_name: 'Standard PC (Q35 + ICH9, 2009)' }, 'virtual', 'kvm', null],
    [
      'Hyper-V',
      { sys_vendor: 'Microsoft Corporation', product_name: 'Virtual Machine' },
      'virtual',
      'hyper-v',
      null,
    ],
    ['XenServer', { sys_vendor: 'Xen', product_name: 'HVM domU' }, 'virtual', 'xen', null],
    ['H3C CAS', { sys_vendor: 'H3C Technologies', product_name: 'CAS UIS' }, 'virtual', 'h3c-cas', null],
    [
      'Alibaba Cloud',
      { sys_vendor: 'Alibaba Cloud', product_name: 'Alibaba Cloud ECS' },
      'cloud',
      null,
      'aliyun',
    ],
    [
      'Azure',
      {
        sys_vendor: 'Microsoft Corporation',
        product_name: 'Virtual Machine',
        chassis_asset_tag: '7783-7084-3265-9085-8269-3286-77',
      },
      'cloud',
      'hyper-v',
      'azure',
    ],
    [
      'a hypervisor that only the processor tells',
      { '/proc/cpuinfo': 'flags\t\t: fpu hypervisor sse' },
      'virtual',
      'unknown',
      null,
    ],
    ['nothing to read', {}, 'physical', null, null],
  ])('is told for %s', (_, files, pool, hypervisor, cloudProvider) => {
    expect(placeOf(machine(files as Record<string, string>))).toMatchObject({
      pool,
      hypervisor,
      cloudProvider,
    })
  })

  it('is a fact that fits the contract on this machine', () => {
    expect(machineFactsSchema.safeParse(readFacts()).error).toBeUndefined()
  })
})

describe('an instance', () => {
  it('is the DMI uuid, unless that is one of the fillers', () => {
    expect(readInstanceId(machine({ product_uuid: 'ABCDEF01-0000-4000-8000-000000000001' }))).toBe(
      'abcdef01-0000-4000-8000-000000000001',
    )
    expect(
      readInstanceId(
        machine({
          product_uuid: '00000000-0000-0000-0000-000000000000',
          '/run/cloud-init/.instance-id': 'i-123',
        }),
      ),
    ).toBe('i-123')
    expect(readInstanceId(machine({}))).toBe('')
  })
})

it('reads os-release with every kind of quotes', () => {
  expect(parseOsRelease('ID=debian\nPRETTY_NAME="Debian \\"12\\""\nNAME=\'Kylin\'\n# no\n')).toEqual({
    ID: 'debian',
    PRETTY_NAME: 'Debian "12"',
    NAME: 'Kylin',
  })
})
