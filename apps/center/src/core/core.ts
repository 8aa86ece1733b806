import type {
  Alarm,
  AlarmKind,
  DownMessages,
  DownType,
  EnrolToken,
  LiveMessage,
  MachineFacts,
  Scan,
} from '@ringwall/contracts'
import type { Clock, Logger } from '@ringwall/runtime'
import type { Kysely, Transaction } from 'kysely'
import type { CenterConfig } from '../config.ts'
import type { Pki } from './pki.ts'

/** Queries are written in SQL, with their row types beside them; the tables of a slice are in its migrations. */
export type Tx = Transaction<unknown>
export type Db = Kysely<unknown> | Tx

/** Server-sent events to consoles. Publish after the commit that the message speaks of. */
export type Live = { publish: (message: LiveMessage) => void }

export type AuditRecord = {
  actor: string
  action: string
  objectKind?: string | undefined
  objectId?: string | undefined
  outcome: 'ok' | 'refused' | 'failed'
  address?: string | undefined
  details?: Record<string, unknown> | undefined
}

/** Hash-chained audit log. */
export type Audit = { append: (record: AuditRecord) => Promise<void> }

export type AlarmInput = {
  kind: AlarmKind
  severity: 'info' | 'warning' | 'critical'
  key: string
  machineId?: string | undefined
  params?: Record<string, string | number | boolean>
}

/** Alarms: repeats with the same `key` count up one open alarm. `clear` closes what `key` opened. */
export type Alarms = {
  raise: (db: Db, alarm: AlarmInput) => Promise<void>
  clear: (db: Db, key: string) => Promise<void>
}

/** Where a machine runs, as its platform knows it: scans of one host or datastore share its bandwidth. */
export type MachinePlacement = {
  hostId: string | null
  hostName: string | null
  datastores: string[]
  platformId: string | null
  /** The machine whose copy this one is, where that has an agent too. */
  parentMachineId: string | null
  isTemplate: boolean
}

/** Machines known by enrolment. How slices other than inventory reach them. */
export type Machines = {
  create: (
    db: Db,
    machine: {
      id: string
      facts: MachineFacts
      agentVersion: string
      lineage?: { parentId: string; evidence: string }
    },
  ) => Promise<void>
  /** A machine proved to be a copy of the disk of `parentId`; nothing where that is no machine any more, or its clone. */
  setLikeness: (db: Db, id: string, likeness: { parentId: string; at: string }) => Promise<void>
  updateFacts: (db: Db, id: string, facts: MachineFacts, agentVersion: string) => Promise<void>
  /** Appends a line to the machine's history that did not come from its agent, e.g. `link.online`. */
  note: (db: Db, id: string, type: string, body: Record<string, unknown>) => Promise<void>
  /** Ids of those that exist, of the given ones. */
  existing: (db: Db, ids: string[]) => Promise<string[]>
  /** Calls `listener` whenever the facts of a machine may have changed, maybe before their commit. */
  onFacts: (listener: () => void) => void
  /** Calls `listener` with the machines whose place may have changed: host, datastores, labels, or what they are joined to. After the commit. */
  onPlaces: (listener: (machineIds: readonly string[]) => void) => void
  /** Says that places changed. Call after the commit. */
  placesChanged: (machineIds: readonly string[]) => void
  /** Placements of those that a platform knows, by machine id. */
  placementsOf: (db: Db, machineIds: string[]) => Promise<Map<string, MachinePlacement>>
}

/** Enrolment tokens: for slices that hand out ways to join. The text of a token is known only here and now. */
export type EnrolTokens = {
  create: (
    db: Db,
    token: {
      name: string
      role: EnrolToken['role']
      maxUses: number
      expiresInHours: number
      createdBy: string
    },
  ) => Promise<{ enrolToken: EnrolToken; token: string; arguments: string }>
}

/** Desired state: recomputes, signs and pushes to those that are connected. Call after commit. */
export type Desired = { changed: (machineIds: string[] | 'all') => void }

/** Live sockets. `send` answers whether the peer was connected. */
export type Links = {
  send: <T extends DownType>(id: string, type: T, body: DownMessages[T], messageId?: string) => boolean
  /** Closes the peer's socket, telling why. */
  close: (id: string, code: string) => void
  isConnected: (id: string) => boolean
  connected: () => { id: string; kind: 'agent' | 'scanner' }[]
}

export type Figures = {
  eventsCommitted: number
  unknownMessages: number
  refusedConnections: number
  startedAtMs: number
}

/** The content pack that scanners load, signed. */
export type Content = { version: string; sha256: string; sizeBytes: number; signature: string; bytes: Buffer }

export type DatabaseFacts = { version: string; isManaged: boolean; isEvaluation: boolean }

/** What the first page shows of other slices. */
export type Related = { latestScans: () => Promise<Scan[]>; latestAlarms: () => Promise<Alarm[]> }

/** What slices are made of. */
export type Core = {
  config: CenterConfig
  logger: Logger
  clock: Clock
  db: Kysely<unknown>
  databaseFacts: DatabaseFacts
  pki: Pki
  content: Content | undefined
  live: Live
  audit: Audit
  alarms: Alarms
  machines: Machines
  enrolTokens: EnrolTokens
  desired: Desired
  links: Links
  figures: Figures
  related: Related
  version: string
}
