/**
 * Elements of the oVirt API as records of the frame. Pure. The forms of version 3 (`<status><state>up</state></status>`,
 * `<mac address="…"/>`) and version 4 (`<status>up</status>`, `<mac><address>…</address></mac>`) are both read.
 */
import { normaliseMac, normaliseUuid } from '../normalise.ts'
import type { ClusterRecord, HostRecord, MachineRecord, ParentRecord } from '../types.ts'
import { childOf, childrenOf, textOf, type XmlElement } from '../xml.ts'

/** The template of machines that were made from none. */
const blankTemplate = '00000000-0000-0000-0000-000000000000'

const powerStates: Record<string, MachineRecord['power']> = {
  up: 'on',
  powering_up: 'on',
  powering_down: 'on',
  migrating: 'on',
  reboot_in_progress: 'on',
  restoring_state: 'on',
  saving_state: 'on',
  wait_for_launch: 'on',
  paused: 'suspended',
  suspended: 'suspended',
  down: 'off',
  image_locked: 'off',
}
const hostStates: Record<string, HostRecord['state']> = {
  up: 'up',
  maintenance: 'maintenance',
  preparing_for_maintenance: 'maintenance',
  down: 'down',
  error: 'down',
  kdumping: 'down',
  non_responsive: 'down',
}

/** A value that version 3 keeps in an attribute and version 4 in a child. */
function inEitherForm(element: XmlElement | undefined, name: string): string | null {
  return element?.attributes[name] ?? textOf(element, name)
}

export function statusOf(element: XmlElement): string {
  return textOf(element, 'status', 'state') ?? textOf(element, 'status') ?? 'unknown'
}

export const idOf = (element: XmlElement): string => element.attributes.id ?? ''

export function linkedId(element: XmlElement, name: string): string | null {
  return childOf(element, name)?.attributes.id ?? null
}

export function clusterOf(element: XmlElement): ClusterRecord {
  return { ref: idOf(element), name: textOf(element, 'name') ?? idOf(element) }
}

export function hostOf(element: XmlElement): HostRecord {
  return {
    ref: idOf(element),
    name: textOf(element, 'name') ?? idOf(element),
    clusterRef: linkedId(element, 'cluster'),
    address: textOf(element, 'address'),
    uuid: textOf(element, 'hardware_information', 'uuid'),
    state: hostStates[statusOf(element)] ?? 'unknown',
    version: inEitherForm(childOf(element, 'version'), 'full_version'),
  }
}

export type MachineFacts = {
  /** The `nic` elements, from the machine itself or read on their own. */
  nics: XmlElement[]
  templateNames: ReadonlyMap<string, string>
  storageNames: ReadonlyMap<string, string>
}

/** Network cards inside a machine; undefined when the engine only gave a link to them. */
export function nicsInside(machine: XmlElement): XmlElement[] | undefined {
  const nics = childOf(machine, 'nics')
  return nics && childrenOf(nics, 'nic')
}

export function machineOf(element: XmlElement, facts: MachineFacts): MachineRecord {
  const id = idOf(element)
  return {
    ref: id,
    name: textOf(element, 'name') ?? id,
    isTemplate: false,
    hostRef: linkedId(element, 'host'),
    // The engine names the destination only in the words of an event.
    migratingToRef: null,
    clusterRef: linkedId(element, 'cluster'),
    power: powerStates[statusOf(element)] ?? 'unknown',
    uuid: normaliseUuid(id),
    macs: unique(facts.nics.map((nic) => normaliseMac(inEitherForm(childOf(nic, 'mac'), 'address')))),
    addresses: addressesOf(element, facts.nics),
    guestOs: guestOsOf(element),
    datastores: unique(
      storageIdsOf(element).map((storage) => facts.storageNames.get(storage) ?? storage),
    ).sort(),
    parent: parentOf(element, facts.templateNames),
  }
}

export function isBlankTemplate(element: XmlElement): boolean {
  return idOf(element) === blankTemplate
}

export function templateOf(element: XmlElement, templateNames: ReadonlyMap<string, string>): MachineRecord {
  const id = idOf(element)
  const version = childOf(element, 'version')
  const base = version && linkedId(version, 'base_template')
  const parent: ParentRecord | null =
    base && base !== id && base !== blankTemplate
      ? {
          ref: base,
          name: templateNames.get(base) ?? null,
          kind: 'unknown',
          evidence: `version ${textOf(version, 'version_number') ?? '?'} of base_template ${base}`,
        }
      : null
  return {
    ref: id,
    name: textOf(element, 'name') ?? id,
    isTemplate: true,
    hostRef: null,
    migratingToRef: null,
    clusterRef: linkedId(element, 'cluster'),
    power: 'off',
    uuid: null,
    macs: [],
    addresses: [],
    guestOs: guestOsOf(element),
    datastores: [],
    parent,
  }
}

/** `template` is what thin disks stand on; machines with disks of their own have the blank one, and `original_template` tells the source. */
function parentOf(element: XmlElement, names: ReadonlyMap<string, string>): ParentRecord | null {
  for (const [link, kind] of [
    ['template', 'linked'],
    ['original_template', 'full'],
  ] as const) {
    const id = linkedId(element, link)
    if (id !== null && id !== blankTemplate)
      return { ref: id, name: names.get(id) ?? null, kind, evidence: `${link} ${id}` }
  }
  return null
}

function addressesOf(element: XmlElement, nics: XmlElement[]): string[] {
  const macs = new Set(nics.map((nic) => normaliseMac(inEitherForm(childOf(nic, 'mac'), 'address'))))
  const ofMachine = childrenOf(childOf(element, 'reported_devices'), 'reported_device')
  const devices = [
    ...nics.flatMap((nic) => childrenOf(childOf(nic, 'reported_devices'), 'reported_device')),
    // Bridges of containers in the guest are reported too: only the machine's own cards count.
    ...ofMachine.filter((device) => macs.has(normaliseMac(inEitherForm(childOf(device, 'mac'), 'address')))),
  ]
  const lists = [...devices.map((device) => childOf(device, 'ips')), childOf(element, 'guest_info', 'ips')]
  return unique(lists.flatMap((ips) => childrenOf(ips, 'ip')).map((ip) => inEitherForm(ip, 'address')))
}

function guestOsOf(element: XmlElement): string | null {
  const reported = childOf(element, 'guest_operating_system')
  const words = [textOf(reported, 'distribution'), textOf(reported, 'version', 'full_version')]
  if (words[0] !== null) return words.filter((word) => word !== null).join(' ')
  const type = inEitherForm(childOf(element, 'os'), 'type')
  return type === null || type.startsWith('other') ? null : type
}

function storageIdsOf(element: XmlElement): string[] {
  return childrenOf(childOf(element, 'disk_attachments'), 'disk_attachment').flatMap((attachment) =>
    childrenOf(childOf(attachment, 'disk', 'storage_domains'), 'storage_domain').map(idOf),
  )
}

function unique(values: (string | null)[]): string[] {
  return [...new Set(values.filter((value) => value !== null))]
}
