import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createXmlReader, type XmlElement } from '../xml.ts'
import { hostOf, machineOf, nicsInside, statusOf, templateOf } from './records.ts'

const read = (text: string) => {
  const reader = createXmlReader()
  reader.write(text)
  return reader.end()
}
const noNames = { templateNames: new Map<string, string>(), storageNames: new Map<string, string>() }
const machine = (text: string) => {
  const element = read(text)
  return machineOf(element, { ...noNames, nics: nicsInside(element) ?? [] })
}
const id = '13054ffb-ae62-49e3-9ec7-9ad426f62fae'
const template = '749236d0-6320-46d2-bd0a-8a9989bb607a'
const blank = '00000000-0000-0000-0000-000000000000'

describe('elements of oVirt', () => {
  it('reads both forms of status, MACs, addresses and operating systems', () => {
    const v3 = `<vm id="${id}"><name>a</name><status><state>up</state></status><os type="rhel_7x64"/><nics><nic><mac address="00:1A:4A:16:01:57"/></nic></nics><guest_info><ips><ip address="192.0.2.7"/></ips></guest_info></vm>`
    const v4 = `<vm id="${id}"><name>a</name><status>up</status><os><type>rhel_7x64</type></os><nics><nic><mac><address>00:1A:4A:16:01:57</address></mac><reported_devices><reported_device><ips><ip><address>192.0.2.7</address></ip></ips></reported_device></reported_devices></nic></nics></vm>`
    expect(machine(v3)).toEqual(machine(v4))
    expect(machine(v4)).toMatchObject({
      macs: ['00:1a:4a:16:01:57'],
      addresses: ['192.0.2.7'],
      guestOs: 'rhel_7x64',
      power: 'on',
      uuid: id,
    })
    expect(statusOf(read('<vm/>'))).toBe('unknown')
    expect(hostOf(read(`<host id="h"><status>preparing_for_maintenance</status></host>`)).state).toBe(
      'maintenance',
    )
    const reported =
      '<guest_operating_system><distribution>openEuler</distribution><version><full_version>22.03</full_version></version></guest_operating_system>'
    expect(machine(`<vm id="${id}">${reported}<os><type>other</type></os></vm>`).guestOs).toBe(
      'openEuler 22.03',
    )
  })

  it('tells thin machines from copies, and neither from the blank template', () => {
    const parent = (thin: string, original: string) =>
      machine(`<vm id="${id}"><template id="${thin}"/><original_template id="${original}"/></vm>`).parent
    expect(parent(template, template)).toMatchObject({
      ref: template,
      kind: 'linked',
      evidence: `template ${template}`,
    })
    expect(parent(blank, template)).toMatchObject({
      ref: template,
      kind: 'full',
      evidence: `original_template ${template}`,
    })
    expect(parent(blank, blank)).toBeNull()
    const version = `<template id="t2"><version><version_number>2</version_number><base_template id="${template}"/></version></template>`
    expect(templateOf(read(version), new Map([[template, 'golden']])).parent).toMatchObject({
      ref: template,
      name: 'golden',
    })
  })

  it('reads any tree of elements', () => {
    const name = fc.constantFrom(
      'vm',
      'nics',
      'nic',
      'mac',
      'status',
      'state',
      'host',
      'os',
      'ips',
      'ip',
      'template',
      'disk_attachments',
      'disk_attachment',
      'disk',
      'storage_domains',
      'storage_domain',
      'reported_devices',
      'reported_device',
      'version',
      'name',
    )
    const attributes = fc.dictionary(fc.constantFrom('id', 'address', 'type', 'full_version'), fc.string())
    const { tree } = fc.letrec<{ tree: XmlElement }>((tie) => ({
      tree: fc.record({
        name,
        attributes,
        children: fc.oneof(
          { maxDepth: 5 },
          fc.constant<XmlElement[]>([]),
          fc.array(tie('tree'), { maxLength: 4 }),
        ),
        text: fc.string(),
      }),
    }))
    fc.assert(
      fc.property(tree, (element) => {
        const record = machineOf(element, { ...noNames, nics: nicsInside(element) ?? [] })
        for (const mac of record.macs) expect(mac).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
        expect(typeof record.name).toBe('string')
        hostOf(element)
        templateOf(element, new Map())
      }),
    )
  })
})
