import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDomainXml, parseHostUuid } from './domain-xml.ts'

const web1 = readFileSync(join(import.meta.dirname, 'testdata/web-1.xml'), 'utf8')
const uuid = '3f2504e0-4f89-41d3-9a0c-0305e82c3301'

describe('domain XML', () => {
  it('gives identity, network cards, disks and their backing chains', () => {
    expect(parseDomainXml(web1)).toEqual({
      uuid,
      name: 'web-1 & 前端',
      smbiosUuid: '11111111-2222-4333-8444-555555555555',
      macs: ['52:54:00:aa:bb:01', '52:54:00:aa:bb:02'],
      disks: [
        {
          source: '/var/lib/libvirt/images/web-1.qcow2',
          datastore: '/var/lib/libvirt/images',
          backing: ['/var/lib/libvirt/images/snap-1.qcow2', '/srv/golden/debian-12.qcow2'],
        },
        { source: '/dev/vg0/data', datastore: '/dev/vg0', backing: [] },
        { source: 'rbd:volumes/web-1-data', datastore: 'rbd:volumes', backing: [] },
        { source: 'fast/web-1-log', datastore: 'fast', backing: [] },
      ],
      guestOs: 'http://debian.org/debian/12',
    })
  })

  it('shows the domain uuid as that of SMBIOS, unless sysinfo is what the guest gets', () => {
    expect(parseDomainXml(web1.replace("<smbios mode='sysinfo'/>", '')).smbiosUuid).toBe(uuid)
    expect(parseDomainXml(`<domain><name>a</name><uuid>${uuid}</uuid></domain>`)).toEqual({
      uuid,
      name: 'a',
      smbiosUuid: uuid,
      macs: [],
      disks: [],
      guestOs: null,
    })
  })

  it.each([
    ['', 'document must contain a root element'],
    ['<domain><name>a</name></domain>', 'not a domain with a name and a uuid'],
    [`<network><name>a</name><uuid>${uuid}</uuid></network>`, 'not a domain'],
    [web1.slice(0, 400), 'unclosed tag'],
    ['<!DOCTYPE domain [<!ENTITY a "b">]><domain>&a;</domain>', 'a document type'],
    [`${'<a>'.repeat(70)}${'</a>'.repeat(70)}`, 'deeper than 64'],
    [`<a>${'<b/>'.repeat(50_001)}</a>`, 'more than 50000 elements'],
  ])('refuses %.40j', (xml, problem) => {
    expect(() => parseDomainXml(xml)).toThrow(
      expect.objectContaining({ code: 'message_invalid', message: expect.stringContaining(problem) }),
    )
  })

  it('ends in a description or message_invalid, whatever was done to the XML', () => {
    const cut = fc.tuple(fc.nat(web1.length), fc.nat(40), fc.string({ maxLength: 10 }))
    fc.assert(
      fc.property(cut, ([at, sizeBytes, inserted]) => {
        try {
          const xml = web1.slice(0, at) + inserted + web1.slice(at + sizeBytes)
          expect(parseDomainXml(xml).uuid).toMatch(/^[0-9a-f-]{36}$/)
        } catch (error) {
          expect(error).toMatchObject({ code: 'message_invalid' })
        }
      }),
    )
  })
})

describe('capabilities', () => {
  it('names the host', () => {
    expect(parseHostUuid(`<capabilities><host><uuid>${uuid}</uuid></host></capabilities>`)).toBe(uuid)
    expect(parseHostUuid('<capabilities><host/></capabilities>')).toBeNull()
  })
})
