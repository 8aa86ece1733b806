/**
 * Guest configurations as Proxmox VE writes them: `qm.conf(5)` and `pct.conf(5)`. Pure functions over one flat record of strings and
 * numbers; keys that are not understood are left alone.
 */
import { normaliseMac, normaliseUuid } from '../normalise.ts'

export type GuestConfig = Record<string, unknown>
export type GuestDisk = { key: string; storage: string; volume: string }

const keyOrder = new Intl.Collator('en', { numeric: true })
const nicKey = /^net\d+$/
/** Disks of machines (qm.conf) and volumes of containers (pct.conf). `unused0` and the like are attached to nothing. */
const diskKey = /^(?:(?:ide|sata|scsi|virtio|efidisk|tpmstate|mp)\d+|rootfs)$/
/** `base-963-disk-1/…` of a machine, `basevol-963-disk-0/…` of a container; folder storages put `963/` before it. */
const baseVolume = /^(?:\d+\/)?base(?:vol)?-(\d+)-[^/]+\/\S/

/** `a=1,b=2,bare` as pairs; what has no `=` gets an empty value. */
export function parseProperties(text: string): Map<string, string> {
  const pairs = text.split(',').map((part): [string, string] => {
    const at = part.indexOf('=')
    return at < 0 ? [part.trim(), ''] : [part.slice(0, at).trim(), part.slice(at + 1).trim()]
  })
  return new Map(pairs)
}

/** In the order of the keys: Proxmox answers them in another order each time. */
function entriesOf(config: GuestConfig, pattern: RegExp): [string, string][] {
  return Object.entries(config)
    .flatMap(([key, value]): [string, string][] =>
      pattern.test(key) && typeof value === 'string' ? [[key, value]] : [],
    )
    .sort(([left], [right]) => keyOrder.compare(left, right))
}

/** MACs of all network cards: `virtio=BC:24:…,bridge=vmbr0` of a machine, `name=eth0,hwaddr=BC:24:…` of a container. */
export function macsOf(config: GuestConfig): string[] {
  const macs = entriesOf(config, nicKey).flatMap(([, value]) =>
    [...parseProperties(value)].flatMap(([key, text]) =>
      /^[a-z][a-z0-9-]*$/.test(key) && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)
        ? [normaliseMac(text)]
        : [],
    ),
  )
  return [...new Set(macs.filter((mac) => mac !== null))]
}

/** Fixed addresses of a container: `ip=192.0.2.7/24`, `ip6=2001:db8::7/64`; `dhcp`, `auto` and `manual` say nothing. */
export function fixedAddressesOf(config: GuestConfig): string[] {
  return entriesOf(config, nicKey).flatMap(([, value]) => {
    const properties = parseProperties(value)
    return ['ip', 'ip6'].flatMap((key) => {
      const address = properties.get(key)?.split('/')[0] ?? ''
      return /[.:]/.test(address) ? [address] : []
    })
  })
}

/** The SMBIOS uuid of `smbios1: uuid=…`; null for containers and machines without one. */
export function smbiosUuidOf(config: GuestConfig): string | null {
  return typeof config.smbios1 === 'string'
    ? normaliseUuid(parseProperties(config.smbios1).get('uuid'))
    : null
}

/** Disks on storages: `local-lvm:vm-100-disk-1,size=10G`. Optical drives, empty drives and paths of the node are none. */
export function disksOf(config: GuestConfig): GuestDisk[] {
  return entriesOf(config, diskKey).flatMap(([key, value]) => {
    const [first = '', ...options] = value.split(',')
    const source =
      first.startsWith('file=') || first.startsWith('volume=') ? first.slice(first.indexOf('=') + 1) : first
    const match = /^([A-Za-z][\w.-]*):(\S+)$/.exec(source)
    if (match === null || options.includes('media=cdrom')) return []
    return [{ key, storage: match[1] ?? '', volume: match[2] ?? '' }]
  })
}

/** The template that a disk of a linked clone stands on: number and the text that says so; null for other guests. */
export function linkedBaseOf(config: GuestConfig): { vmid: number; evidence: string } | null {
  for (const { storage, volume } of disksOf(config)) {
    const vmid = Number(baseVolume.exec(volume)?.[1])
    if (Number.isSafeInteger(vmid)) return { vmid, evidence: `disk ${storage}:${volume}` }
  }
  return null
}

/** When the first ancestor was made, seconds since 1970: copies keep it. Null before Proxmox VE 7.1. */
export function creationTimeOf(config: GuestConfig): number | null {
  const text = typeof config.meta === 'string' ? parseProperties(config.meta).get('ctime') : undefined
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : null
}

/** Whether the guest agent is switched on: `1`, `enabled=1,…`. */
export function hasAgent(config: GuestConfig): boolean {
  const agent = config.agent
  if (agent === 1) return true
  if (typeof agent !== 'string') return false
  const properties = parseProperties(agent)
  return properties.has('1') || properties.get('enabled') === '1'
}

/** `ostype` of machines and containers in words; null for what says nothing. */
export function guestOsOf(config: GuestConfig): string | null {
  const type = typeof config.ostype === 'string' ? config.ostype : ''
  const names: Record<string, string> = {
    l24: 'Linux 2.4',
    l26: 'Linux',
    solaris: 'Solaris',
    wxp: 'Windows XP',
    w2k: 'Windows 2000',
    w2k3: 'Windows Server 2003',
    w2k8: 'Windows Server 2008',
    wvista: 'Windows Vista',
    win7: 'Windows 7 / Server 2008 R2',
    win8: 'Windows 8 / Server 2012',
    win10: 'Windows 10 / Server 2016–2019',
    win11: 'Windows 11 / Server 2022–2025',
  }
  if (type === '' || type === 'other' || type === 'unmanaged') return null
  return Object.hasOwn(names, type) ? (names[type] ?? null) : type
}
