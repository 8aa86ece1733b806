import type { AlarmKind, DownMessages, DownType, LiveMessage, MachineFacts } from '@ringwall/contracts'
import type { Clock, Logger } from '@ringwall/runtime'
import type { Kysely, Transaction } from 'kysely'
import type { CenterConfig } from '../config.ts'
import type { Database } from '../store/database.ts'

export type Db = Kysely<Database> | Transaction<Database>

/** Server-sent events to consoles. Publish after the commit that the message speaks of. */
export type Live = { publish: (message: LiveMessage) => void }

/** Hash-chained audit log. */
export type Audit = {
  append: (
    entry: {
      actor: string
      action: string
      objectKind?: string | undefined
      objectId?: string | undefined
      outcome: 'ok' | 'refused' | 'failed'
      address?: string | undefined
      details?: Record<string, unknown> | undefined
    },
    tx?: Transaction<Database>,
  ) => Promise<void>
}

/** Alarms: repeats with the same `key` count up one open alarm. `clear` closes what `key` opened. */
export type Alarms = {
  raise: (
    db: Db,
    alarm: {
      kind: AlarmKind
      severity: 'info' | 'warning' | 'critical'
      key: string
      machineId?: string | undefined
      params?: Record<string, string | number | boolean>
    },
  ) => Promise<void>
  clear: (db: Db, key: string) => Promise<void>
}

export type LinkState = 'online' | 'offline' | 'never'

/** Machines known by enrolment. The inventory slice owns the table; this service is how others reach it. */
export type Machines = {
  create: (db: Db, machine: { id: string; facts: MachineFacts; agentVersion: string; lineage?: { parentId: string; evidence: string } }) => Promise<void>
  updateFacts: (db: Db, id: string, facts: MachineFacts) => Promise<void>
  /** Appends a line to the machine's history that did not come from its agent, e.g. `link.online`. */
  note: (db: Db, id: string, type: string, body: Record<string, unknown>) => Promise<void>
  hostname: (db: Db, id: string) => Promise<string | undefined>
  /** Ids of those that exist. */
  existing: (db: Db, ids: string[]) => Promise<string[]>
}

/** Desired state: `changed` recomputes, signs and pushes to those that are connected. Call after commit. */
export type Desired = { changed: (machineIds: string[] | 'all') => void }

/** Live sockets. `send` answers whether the peer was connected. */
export type Links = {
  send: <T extends DownType>(id: string, type: T, body: DownMessages[T], messageId?: string) => boolean
  /** Closes the peer's socket, telling why. */
  close: (id: string, code: string) => void
  isConnected: (id: string) => boolean
  connectedCount: () => number
}

/** What slices are made of. */
export type Core = {
  config: CenterConfig
  logger: Logger
  clock: Clock
  db: Kysely<Database>
  live: Live
  audit: Audit
  alarms: Alarms
  machines: Machines
  desired: Desired
  links: Links
}
