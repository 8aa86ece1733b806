import type { AgentEvent, DesiredState, UpMessages } from '@ringwall/contracts'
import type { Clock, IdentityStore, LinkClient, Logger } from '@ringwall/runtime'
import type { AgentConfig } from '../config.ts'
import type { KeptFiles } from '../core/kept-files.ts'
import type { ModuleSample } from '../core/modules.ts'

type WithoutBase<T> = T extends unknown ? Omit<T, 'id' | 'at'> : never
/** An event as slices report it; id and time are added. */
export type NewEvent = WithoutBase<AgentEvent>

/** Of an event that a kill may make the agent report again: the center keeps the first with this id. */
export type FixedEvent = Partial<Pick<AgentEvent, 'id' | 'at'>>

/** Reports for good: on disk when it returns for an alert, delivered in order, committed once by the center. */
export type Report = (event: NewEvent, fixed?: FixedEvent) => void

/** What the agent's slices are made of. */
export type AgentCore = {
  config: AgentConfig
  logger: Logger
  clock: Clock
  identity: IdentityStore
  files: KeptFiles
  link: Pick<LinkClient, 'send' | 'request' | 'isOnline' | 'silentMs'>
  report: Report
  /** The state that is in force: the last one that verified, also offline and after a reboot. */
  desired: () => DesiredState | undefined
}

export type AgentSliceParts = {
  /** Brings this machine to the desired state; called at the start and whenever the state changes. */
  apply: (desired: DesiredState) => void
  /** Codes of what does not work now. */
  problems?: () => string[]
  /** What this slice adds to heartbeats. */
  figures?: () => Pick<UpMessages['heartbeat'], 'realtime'>
  /** What its threads and processes use, for the heartbeat. */
  usage?: () => Promise<ModuleSample[]>
  /** Whether it does something that takes much memory for a while. */
  isBusy?: () => boolean
  stop?: () => Promise<void>
}

/** One capability of the agent. `app/slices.ts` lists them: that list is the only wiring. */
export type AgentSlice = { name: string; create: (core: AgentCore) => AgentSliceParts }
