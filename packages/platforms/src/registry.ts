import type { PlatformKind } from '@ringwall/contracts'
import { libvirt } from './libvirt/connector.ts'
import { ovirt } from './ovirt/ovirt.ts'
import { proxmox } from './proxmox/proxmox.ts'
import type { ConnectorDefinition } from './types.ts'
import { vsphere } from './vsphere/vsphere.ts'

/** Every connector. A new platform is a folder and a line here. */
export const connectors: Partial<Record<PlatformKind, ConnectorDefinition>> = {
  libvirt,
  ovirt,
  proxmox,
  vsphere,
}
