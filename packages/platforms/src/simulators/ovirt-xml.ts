/** A simulated data centre in the XML of the oVirt API, in the form of version 4 or of version 3. */
import { escapeXml } from '../xml.ts'
import type { DataCentre, JournalEntry, JournalKind, SimulatedHost, SimulatedMachine } from './state.ts'

export type ApiForm = 'v3' | 'v4'

export const blankTemplateId = '00000000-0000-0000-0000-000000000000'
const prolog = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'

/** Numbers of the engine's event catalog. */
const eventCodes: Record<JournalKind, number> = {
  'migration-started': 62,
  'migration-done': 63,
  cloned: 34,
  removed: 113,
  started: 32,
  stopped: 33,
  'template-made': 29,
  'host-changed': 13,
}

export const documentOf = (root: string): string => `${prolog}\n${root}\n`
export const listOf = (name: string, elements: string[]): string =>
  elements.length === 0 ? `<${name}/>` : `<${name}>\n${elements.join('\n')}\n</${name}>`
export const faultOf = (reason: string): string =>
  documentOf(`<fault><reason>Operation Failed</reason><detail>${escapeXml(reason)}</detail></fault>`)

const link = (name: string, collection: string, id: string) =>
  `<${name} href="/ovirt-engine/api/${collection}/${id}" id="${id}"/>`
const textElement = (name: string, text: string) => `<${name}>${escapeXml(text)}</${name}>`

/** A value that version 3 keeps in an attribute. */
const valueElement = (form: ApiForm, name: string, key: string, value: string) =>
  form === 'v3' ? `<${name} ${key}="${escapeXml(value)}"/>` : `<${name}>${textElement(key, value)}</${name}>`
const statusElement = (form: ApiForm, status: string) =>
  `<status>${form === 'v3' ? `<state>${status}</state>` : status}</status>`

export function apiRoot(form: ApiForm): string {
  const [name, version] =
    form === 'v3'
      ? ['Red Hat Enterprise Virtualization Manager', '3.6.8-0.1.el6']
      : ['oVirt Engine', '4.5.5-1.el8']
  const full = textElement('full_version', version)
  return documentOf(
    `<api><product_info>${textElement('name', name)}${form === 'v3' ? full : ''}<version>${form === 'v3' ? '' : full}</version></product_info></api>`,
  )
}

export function clusterElement({ id, name }: { id: string; name: string }): string {
  return `<cluster href="/ovirt-engine/api/clusters/${id}" id="${id}">${textElement('name', name)}</cluster>`
}

export function hostElement(host: SimulatedHost, form: ApiForm): string {
  return [
    `<host href="/ovirt-engine/api/hosts/${host.id}" id="${host.id}">`,
    textElement('name', host.name),
    textElement('address', host.address),
    statusElement(form, host.isUp ? 'up' : 'non_responsive'),
    link('cluster', 'clusters', host.clusterId),
    valueElement(form, 'version', 'full_version', 'vdsm-4.50.5-1.el8'),
    `<hardware_information>${textElement('uuid', host.uuid)}</hardware_information>`,
    '</host>',
  ].join('')
}

export function storageElement(id: string): string {
  return `<storage_domain id="${id}">${textElement('name', id)}</storage_domain>`
}

export function blankTemplateElement(form: ApiForm): string {
  return `<template id="${blankTemplateId}"><name>Blank</name>${statusElement(form, 'ok')}</template>`
}

export function templateElement(machine: SimulatedMachine, form: ApiForm): string {
  return [
    `<template href="/ovirt-engine/api/templates/${machine.id}" id="${machine.id}">`,
    textElement('name', machine.title),
    statusElement(form, 'ok'),
    osElement(machine, form),
    `<version><version_number>1</version_number>${link('base_template', 'templates', machine.id)}</version>`,
    '</template>',
  ].join('')
}

function osElement({ os }: SimulatedMachine, form: ApiForm): string {
  return valueElement(form, 'os', 'type', os === 'windows' ? 'windows_2019x64' : 'rhel_8x64')
}

export function machineElement(
  machine: SimulatedMachine,
  dataCentre: DataCentre,
  options: { form: ApiForm; follow: string[]; hostId: string | null },
): string {
  const { form, follow, hostId } = options
  // What was copied from another machine has no template to name.
  const parent =
    dataCentre.machines.get(machine.parent?.id ?? '')?.kind === 'template' ? machine.parent : null
  const isRunning = machine.power === 'on'
  const home = dataCentre.hosts.find(({ id }) => id === machine.hostId)
  const status = machine.migratingToId !== null ? 'migrating' : isRunning ? 'up' : 'down'
  return [
    `<vm href="/ovirt-engine/api/vms/${machine.id}" id="${machine.id}">`,
    textElement('name', machine.title),
    statusElement(form, status),
    osElement(machine, form),
    link('cluster', 'clusters', home?.clusterId ?? ''),
    isRunning && hostId !== null ? link('host', 'hosts', hostId) : '',
    link('template', 'templates', parent?.kind === 'linked' ? parent.id : blankTemplateId),
    form === 'v3' ? '' : link('original_template', 'templates', parent?.id ?? blankTemplateId),
    follow.includes('nics')
      ? nicsElement(machine, form)
      : `<link href="/ovirt-engine/api/vms/${machine.id}/nics" rel="nics"/>`,
    follow.includes('reported_devices') && isRunning ? devicesElement(machine, form) : '',
    follow.includes('disk_attachments.disk')
      ? `<disk_attachments><disk_attachment id="${machine.uuid}"><disk id="${machine.uuid}"><storage_domains>${link('storage_domain', 'storagedomains', machine.datastore)}</storage_domains></disk></disk_attachment></disk_attachments>`
      : '',
    '</vm>',
  ].join('')
}

export function nicsElement(machine: SimulatedMachine, form: ApiForm): string {
  const nics = machine.macs.map((mac, index) => {
    const devices = machine.power === 'on' ? devicesElement(machine, form) : ''
    return `<nic id="${machine.id}-${index}"><name>nic${index + 1}</name>${valueElement(form, 'mac', 'address', mac)}<plugged>true</plugged>${devices}</nic>`
  })
  return listOf('nics', nics)
}

function devicesElement(machine: SimulatedMachine, form: ApiForm): string {
  const ips = machine.addresses.map((address) => valueElement(form, 'ip', 'address', address)).join('')
  const bridge = valueElement(form, 'mac', 'address', '02:42:00:00:00:01')
  const own = valueElement(form, 'mac', 'address', machine.macs[0] ?? '')
  return `<reported_devices><reported_device id="1"><name>eth0</name>${own}<ips>${ips}</ips></reported_device>${form === 'v3' ? '' : `<reported_device id="2"><name>docker0</name>${bridge}</reported_device>`}</reported_devices>`
}

export function eventElement(entry: JournalEntry): string {
  const { kind, machineId, hostId, machineTitle } = entry
  return [
    `<event href="/ovirt-engine/api/events/${entry.index}" id="${entry.index}">`,
    textElement('description', `${kind} ${machineTitle}`.trim()),
    textElement('code', `${eventCodes[kind]}`),
    '<severity>normal</severity>',
    textElement('time', new Date(entry.atMs).toISOString()),
    machineId === null ? '' : link('vm', 'vms', machineId),
    hostId === null ? '' : link('host', 'hosts', hostId),
    kind === 'template-made' && machineId !== null ? link('template', 'templates', machineId) : '',
    '</event>',
  ].join('')
}
