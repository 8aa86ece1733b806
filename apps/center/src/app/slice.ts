import type {
  AgentEvent,
  AgentEventType,
  ApiRoutes,
  DesiredScannerState,
  DesiredState,
  OperationId,
  Role,
  RouteInput,
  RouteResponse,
  UpMessages,
  UpType,
} from '@ringwall/contracts'
import type { Migration } from '@ringwall/postgres'
import type { Core, Db, Tx } from '../core/core.ts'

/** Who calls, as the HTTP layer established it. */
export type Caller = {
  userId: string
  name: string
  role: Role
  via: 'session' | 'api-token'
  sessionHash: string | undefined
  csrfToken: string | undefined
}

export type RequestContext = {
  /** Undefined only on public routes. */
  caller: Caller | undefined
  address: string
  /** Adds to what the audit log records of this request (object and details; never secrets). */
  audit: (entry: {
    actor?: string
    objectKind?: string
    objectId?: string
    details?: Record<string, unknown>
  }) => void
  /** Sets or clears the session cookie. */
  setSessionCookie: (token: string | undefined) => void
}

export type Handler<Id extends OperationId> = (
  input: RouteInput<ApiRoutes[Id]>,
  context: RequestContext,
) => Promise<RouteResponse<ApiRoutes[Id]>>
export type Handlers = { [Id in OperationId]: Handler<Id> }

/** A connected agent or scanner, as slices see it. */
export type LinkPeer = { kind: 'agent' | 'scanner'; id: string; hostname: string }

export type EventContext = { machineId: string; hostname: string; receivedAt: Date }

/** Runs inside the transaction that commits the batch: what it writes is acknowledged with the event or not at all. */
export type EventConsumer<T extends AgentEventType> = (
  tx: Tx,
  context: EventContext,
  event: Extract<AgentEvent, { type: T }>,
) => Promise<void>

/** Parts of a machine's desired state; the fleet slice merges them and signs the whole. */
export type DesiredParts = Partial<
  Pick<DesiredState, 'malware' | 'policyRevision' | 'tasks' | 'decisions' | 'allowances' | 'manifestParent'>
>

/** What a slice gives the center. Everything is optional but the handlers of its own routes. */
export type SliceParts = {
  handlers: Partial<Handlers>
  events?: { [T in AgentEventType]?: EventConsumer<T> }
  /** Called after a batch was committed, with the types that were in it. */
  afterEvents?: (machineId: string, types: ReadonlySet<string>) => void
  link?: { [T in UpType]?: (peer: LinkPeer, body: UpMessages[T], id: string | undefined) => Promise<void> }
  desired?: (db: Db, machineId: string) => Promise<DesiredParts>
  /** Work that goes on from when the center listens until the signal aborts; the center's end waits for it. */
  run?: (signal: AbortSignal) => Promise<void>
  desiredScanner?: (db: Db, scannerId: string) => Promise<Partial<Pick<DesiredScannerState, 'flushes'>>>
  /** Repeated work; runs do not overlap. */
  jobs?: { name: string; everyMs: number; run: () => Promise<void> }[]
}

/**
 * One capability of the center. `app/slices.ts` lists them: that list is the only wiring. Slices never import
 * each other; they meet in the services of `core` and in contract events.
 */
export type CenterSlice = {
  name: string
  /** Forward-only, keyed by explicit strings that never change. */
  migrations: Record<string, Migration>
  create: (core: Core) => SliceParts
}
