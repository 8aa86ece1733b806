/**
 * What the center wants of a virtualization platform. A connector is one folder that implements `ConnectorDefinition`
 * and is listed in `registry.ts`; it speaks the platform's own protocol and answers in these records.
 *
 * Rules that every connector keeps (docs/platforms/README.md):
 * - `list` is complete or it throws: a page that failed must never look like a smaller inventory.
 * - What `watch` hears is only a trigger; the records it yields were read back from the platform.
 * - Nothing secret leaves before the pinned fingerprint was seen.
 */
import type {
  PlatformCapabilities,
  PlatformCredentials,
  PlatformKind,
  PlatformWarningCode,
} from '@ringwall/contracts'
import type { Clock, Logger } from '@ringwall/runtime'
import type { Recorder } from './recorder.ts'

/** How a platform names one of its objects. Unique within one platform, and only there. */
export type Ref = string

export type ClusterRecord = { ref: Ref; name: string }

export type HostRecord = {
  ref: Ref
  name: string
  clusterRef: Ref | null
  address: string | null
  /** SMBIOS uuid of the hardware, as the platform spells it. */
  uuid: string | null
  state: 'up' | 'down' | 'maintenance' | 'unknown'
  version: string | null
}

/** Where a copy came from, as far as the platform tells. `ref` is null where only a name or an id outside is known. */
export type ParentRecord = {
  ref: Ref | null
  name: string | null
  kind: 'full' | 'linked' | 'deployed' | 'unknown'
  /** What says so, e.g. `disk local-lvm:base-963-disk-1/vm-105-disk-1`, `event VmClonedEvent 1234`. */
  evidence: string
}

export type MachineRecord = {
  ref: Ref
  name: string
  isTemplate: boolean
  /** Null while it runs nowhere, or while nothing says where. */
  hostRef: Ref | null
  /** The destination while a live migration is under way. */
  migratingToRef: Ref | null
  clusterRef: Ref | null
  power: 'on' | 'off' | 'suspended' | 'unknown'
  /** The SMBIOS uuid that the guest sees, lower case with dashes, in the platform's byte order. */
  uuid: string | null
  /** Lower case, colons. */
  macs: string[]
  /** What tools in the guest reported; often empty. */
  addresses: string[]
  guestOs: string | null
  /** Datastores (storage pools) of its disks: scans share their bandwidth. */
  datastores: string[]
  parent: ParentRecord | null
}

/** A whole platform at one moment. */
export type Inventory = { clusters: ClusterRecord[]; hosts: HostRecord[]; machines: MachineRecord[] }

/**
 * What changed. `machine` and `host` carry the record as it was read back. `gone` is a hint, not a deletion: the
 * center asks for a complete list. `resync`: changes may have been missed.
 */
export type Change =
  | { type: 'machine'; machine: MachineRecord; at: Date | null }
  | { type: 'host'; host: HostRecord }
  | { type: 'gone'; ref: Ref }
  | { type: 'resync'; reason: string }

/** What answers on the other side, learned by `check`. */
export type PlatformIdentity = {
  product: string
  version: string
  /** Stable id of the installation where there is one: two entries for one vCenter are told by it. */
  instanceId: string | null
  /** What the account cannot see or do that the connector would like. Empty: all well. */
  warnings: { code: PlatformWarningCode; params: Record<string, string> }[]
}

export interface Connector {
  /** Reaches the platform, signs in and reads one small thing. Errors: platform_*, certificate_*, timeout, unavailable. */
  check(signal: AbortSignal): Promise<PlatformIdentity>
  /** Everything, or an error. `onProgress` hears how many objects were read so far. */
  list(signal: AbortSignal, onProgress?: (objects: number) => void): Promise<Inventory>
  /**
   * Changes after the last `list`, in batches, until the signal or an error ends it. Yields an empty batch now and then as a sign of life
   * (at least every 60 s). Pushes where the platform can; polls otherwise.
   */
  watch(signal: AbortSignal): AsyncIterable<Change[]>
  /** Signs out and frees sockets; never throws. */
  close(): Promise<void>
}

export type ConnectorOptions = {
  /** As the operator typed it: `host`, `host:port`, a URL, or for libvirt `unix:///path`, `ssh://user@host/path`. */
  address: string
  /** SHA-256 of the leaf certificate or SSH host key that the operator accepted; undefined only where there is none (Unix socket). */
  fingerprint: string | undefined
  credentials: PlatformCredentials
  /** At most this many requests per second go to the platform. */
  requestsPerSecond: number
  clock: Clock
  logger: Logger
  recorder: Recorder | undefined
}

export type ConnectorDefinition = {
  kind: PlatformKind
  capabilities: PlatformCapabilities
  /** Throws platform_address_invalid for an address this connector cannot use. */
  validateAddress(address: string): void
  /** `sha256:<hex>` of what the server presents, with nothing sent; null where there is nothing to pin. */
  fingerprint(address: string, signal: AbortSignal): Promise<string | null>
  open(options: ConnectorOptions): Connector
}
