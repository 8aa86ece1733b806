import { describe, expect, it } from 'vitest'
import { createXmlReader } from '../xml.ts'
import { linkedParent, toCopy } from './lineage.ts'
import { emptyMachineFacts } from './records.ts'

function event(type: string, body: string) {
  const reader = createXmlReader()
  reader.write(
    `<r xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e xsi:type="${type}"><key>12</key>${body}</e></r>`,
  )
  return reader.end().children[0] ?? reader.end()
}
const vm = (name: string, ref: string, label: string) =>
  `<${label}><name>${name}</name><vm type="VirtualMachine">${ref}</vm></${label}>`

describe('lineage from events', () => {
  it('reads clones and deployments', () => {
    expect(toCopy(event('VmClonedEvent', vm('b', 'vm-2', 'vm') + vm('a', 'vm-1', 'sourceVm')))).toEqual({
      ref: 'vm-2',
      parent: { ref: 'vm-1', name: 'a', kind: 'full', evidence: 'event VmClonedEvent 12' },
    })
    expect(toCopy(event('VmDeployedEvent', vm('b', 'vm-2', 'vm') + vm('t', 'vm-9', 'srcTemplate')))).toEqual({
      ref: 'vm-2',
      parent: { ref: 'vm-9', name: 't', kind: 'deployed', evidence: 'event VmDeployedEvent 12' },
    })
  })

  it('ignores other events, and a VM said to be a copy of itself', () => {
    expect(toCopy(event('VmMigratedEvent', vm('b', 'vm-2', 'vm')))).toBeUndefined()
    expect(
      toCopy(event('VmClonedEvent', vm('a', 'vm-1', 'vm') + vm('a', 'vm-1', 'sourceVm'))),
    ).toBeUndefined()
  })
})

describe('lineage from disks', () => {
  const facts = (file: string, ...parents: string[]) => ({
    ...emptyMachineFacts(),
    configFile: '[ds] web/web.vmx',
    disks: [{ file, parents }],
  })

  it('takes a chain within the own folder for snapshots', () => {
    expect(
      linkedParent(facts('[ds] web/web-000001.vmdk', '[ds] web/web.vmdk'), () => new Map()),
    ).toBeUndefined()
  })

  it('names the file where no known machine owns it', () => {
    expect(
      linkedParent(facts('[ds] web/w-1.vmdk', '[ds] web/w.vmdk', '[ds] gold/g.vmdk'), () => new Map()),
    ).toEqual({ ref: null, name: null, kind: 'linked', evidence: 'disk [ds] gold/g.vmdk' })
  })
})
