import type { SlotWaitReason } from '@ringwall/contracts'

/** Times are milliseconds since the epoch. */
export type SlotLimits = {
  perHost: number
  perDatastore: number
  perScanner: number
  total: number
  /** Exceptions by id or name. */
  hosts: Readonly<Record<string, number>>
  datastores: Readonly<Record<string, number>>
  scanners: Readonly<Record<string, number>>
  onMigration: 'pause' | 'finish'
  agingMs: number
}

export type SlotWindow = { startMs: number; endMs: number }

/** One machine of one scan that is not over. */
export type SlotRequest = {
  id: string
  machineId: string
  /** Null: not known. Such a machine is a host of its own. */
  hostId: string | null
  datastores: readonly string[]
  priority: number
  ignoresLimits: boolean
  isPaused: boolean
  isOnline: boolean
  hasBegun: boolean
  /** It is being cancelled: it keeps the slot that it has until it ends and gets no other. */
  isEnding: boolean
  isTemplate: boolean
  parentMachineId: string | null
  lastScanAtMs: number | null
  enqueuedAtMs: number
  notBeforeMs: number | null
  /** The opening in which it may run: the present one or the next; null: any time. */
  window: SlotWindow | null
  whenTooLong: 'start' | 'wait'
  atWindowEnd: 'pause' | 'finish'
  /** What is left of it, from the last scans' figures. */
  durationMs: number
}

/** Where a slot was taken. */
export type SlotPlace = { hostId: string | null; datastores: readonly string[]; scannerId: string | null }

export type SlotLease = SlotPlace & {
  id: string
  requestId: string
  state: 'held' | 'releasing'
  isOverLimit: boolean
  grantedAtMs: number
  expiresAtMs: number
}

export type SlotState = {
  nowMs: number
  limits: SlotLimits
  /** Scanners that are there now. */
  scanners: readonly string[]
  requests: readonly SlotRequest[]
  leases: readonly SlotLease[]
}

export type SlotGrant = SlotPlace & { requestId: string; isOverLimit: boolean }
export type SlotWait = { reason: SlotWaitReason; blockedBy: string | null; position: number }

export type SlotDecision = {
  grants: SlotGrant[]
  /** Leases that are over: their holder has not been heard of, or their scan has ended. */
  ends: { leaseId: string; why: 'expired' | 'ended' }[]
  /** Leases to take back; they count until their holder has stopped. */
  releases: { leaseId: string; why: 'paused' | 'window_end' | 'host_full' }[]
  /** Leases that follow their machine to another place. */
  moves: (SlotPlace & { leaseId: string; isOverLimit: boolean })[]
  waiting: Map<string, SlotWait>
  /** When time alone changes something next. */
  nextAtMs: number | null
}
