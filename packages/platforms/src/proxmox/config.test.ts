import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  creationTimeOf,
  disksOf,
  fixedAddressesOf,
  guestOsOf,
  hasAgent,
  linkedBaseOf,
  macsOf,
  parseProperties,
  smbiosUuidOf,
} from './config.ts'

const hexByte = fc.integer({ min: 0, max: 255 }).map((byte) => byte.toString(16).padStart(2, '0'))
const macAddress = fc
  .array(hexByte, { minLength: 6, maxLength: 6 })
  .filter((bytes) => bytes.some((byte) => byte !== '00'))
  .map((bytes) => bytes.join(':'))

describe('guest configurations of Proxmox VE', () => {
  it('reads MACs of machines and containers, whatever the model and the order', () => {
    const card = fc.record({
      mac: macAddress,
      model: fc.constantFrom('virtio', 'e1000', 'e1000e', 'vmxnet3', 'rtl8139', 'hwaddr'),
      isUpper: fc.boolean(),
      before: fc.subarray(['bridge=vmbr0', 'firewall=1', 'tag=12', 'queues=4']),
    })
    fc.assert(
      fc.property(fc.array(card, { maxLength: 8 }), (cards) => {
        const config = Object.fromEntries(
          cards.map(({ mac, model, isUpper, before }, index) => [
            `net${index}`,
            [...before, `${model}=${isUpper ? mac.toUpperCase() : mac}`, 'mtu=1500'].join(','),
          ]),
        )
        expect(macsOf(config)).toEqual([...new Set(cards.map(({ mac }) => mac))])
      }),
    )
  })

  it('finds the storage of disks and the template below a linked clone', () => {
    const disk = fc.record({
      key: fc.constantFrom('scsi0', 'virtio15', 'sata3', 'ide1', 'efidisk0', 'tpmstate0'),
      storage: fc.stringMatching(/^[a-z][a-z0-9_.-]{0,10}[a-z0-9]$/),
      vmid: fc.integer({ min: 100, max: 999_999_999 }),
      base: fc.option(fc.integer({ min: 100, max: 999_999_999 })),
      isFolder: fc.boolean(),
    })
    fc.assert(
      fc.property(disk, ({ key, storage, vmid, base, isFolder }) => {
        const own = isFolder ? `${vmid}/vm-${vmid}-disk-0.qcow2` : `vm-${vmid}-disk-0`
        const below =
          base === null ? '' : `${isFolder ? `${base}/` : ''}base-${base}-disk-0${isFolder ? '.qcow2' : ''}/`
        const config = { [key]: `${storage}:${below}${own},size=32G` }
        expect(disksOf(config)).toEqual([{ key, storage, volume: `${below}${own}` }])
        expect(linkedBaseOf(config)?.vmid ?? null).toBe(base)
      }),
    )
    expect(linkedBaseOf({ rootfs: 'zfs:basevol-900-disk-0/subvol-105-disk-0,size=8G' })?.vmid).toBe(900)
    // A template's own disk has nothing below it.
    expect(linkedBaseOf({ scsi0: 'local-lvm:base-900-disk-1,size=10G' })).toBeNull()
    const noDisks = {
      ide2: 'local:iso/x.iso,media=cdrom',
      sata0: 'none',
      scsi1: '/dev/sdb',
      unused0: 'a:vm-1-disk-0',
    }
    expect(disksOf(noDisks)).toEqual([])
    expect(disksOf({ scsi0: 'file=ssd:vm-1-disk-0,size=1G' })).toMatchObject([{ storage: 'ssd' }])
  })

  it('does not depend on the order of the keys', () => {
    const nics = {
      net10: 'virtio=02:00:00:00:00:0A',
      net2: 'virtio=02:00:00:00:00:02',
      net0: 'virtio=02:00:00:00:00:01',
    }
    expect(macsOf(nics)).toEqual(['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:0a'])
  })

  it('reads the rest as the manual writes it', () => {
    expect(smbiosUuidOf({ smbios1: 'base64=1,uuid=F99C0A2D-0B93-4795-92BC-6EFA08506B25' })).toBe(
      'f99c0a2d-0b93-4795-92bc-6efa08506b25',
    )
    expect(smbiosUuidOf({})).toBeNull()
    expect(creationTimeOf({ meta: 'creation-qemu=10.1.2,ctime=1763409392' })).toBe(1_763_409_392)
    expect(creationTimeOf({ meta: 'ctime=soon' })).toBeNull()
    expect(
      [1, '1', 'enabled=1,fstrim_cloned_disks=1', '1,type=virtio'].map((agent) => hasAgent({ agent })),
    ).toEqual([true, true, true, true])
    expect([0, '0', 'enabled=0', undefined, '1x'].some((agent) => hasAgent({ agent }))).toBe(false)
    expect(
      fixedAddressesOf({ net0: 'name=eth0,ip=192.0.2.7/24,ip6=2001:db8::7/64', net1: 'name=eth1,ip=dhcp' }),
    ).toEqual(['192.0.2.7', '2001:db8::7'])
    expect(guestOsOf({ ostype: 'l26' })).toBe('Linux')
    expect(guestOsOf({ ostype: 'alpine' })).toBe('alpine')
    expect(guestOsOf({ ostype: 'constructor' })).toBe('constructor')
    expect(guestOsOf({ ostype: 'other' })).toBeNull()
    expect(parseProperties('a=1,b,c=x=y')).toEqual(
      new Map([
        ['a', '1'],
        ['b', ''],
        ['c', 'x=y'],
      ]),
    )
  })

  it('takes anything without falling over', () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.array(fc.string()))
    const key = fc.oneof(
      fc.constantFrom('net0', 'scsi0', 'smbios1', 'meta', 'agent', 'ostype', '__proto__'),
      fc.string(),
    )
    fc.assert(
      fc.property(fc.dictionary(key, value), (config) => {
        for (const mac of macsOf(config)) expect(mac).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
        for (const read of [
          disksOf,
          linkedBaseOf,
          smbiosUuidOf,
          creationTimeOf,
          hasAgent,
          guestOsOf,
          fixedAddressesOf,
        ])
          read(config)
      }),
    )
  })
})
