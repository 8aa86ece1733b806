import {
  type AgentEvent,
  type DownMessages,
  type EventClass,
  isAppError,
  linkLimits,
  type UpMessages,
} from '@ringwall/contracts'
import { type Clock, type Logger, type Spool, uuidv7 } from '@ringwall/runtime'
import type { NewEvent, Report } from '../app/slice.ts'

type Send = (type: 'events', body: UpMessages['events']) => boolean

export type Events = {
  report: Report
  /** A new link: begins again behind what is acknowledged. */
  onWelcome: (credits: number) => void
  onAck: (ack: DownMessages['ack']) => void
  onOffline: () => void
  /** How many were reported since the start. */
  reported: () => number
  /** Whether the last record could be written. */
  isDiskFull: () => boolean
}

const retryMs = 250

function classOf(event: NewEvent): EventClass {
  const isAlert =
    event.type === 'finding.detected' ||
    event.type === 'finding.changed' ||
    event.type === 'quarantine.added' ||
    event.type === 'scan.ended' ||
    event.type === 'hunt.ended' ||
    event.type === 'content.brought' ||
    event.type === 'manifest.mismatch'
  return isAlert ? 'alert' : 'event'
}

/** Puts events on the spool and brings them to the center: in order, within its credits, until it has committed them. */
export function createEvents(options: { spool: Spool; clock: Clock; logger: Logger; send: Send }): Events {
  const { spool, clock, logger, send } = options
  const waiting: { event: AgentEvent; eventClass: EventClass }[] = []
  let credits = 0
  let sentSeq = 0
  let isLinked = false
  let isFull = false
  let reported = 0
  let timer: NodeJS.Timeout | undefined

  function write(event: AgentEvent, eventClass: EventClass): boolean {
    try {
      spool.append(eventClass, Buffer.from(JSON.stringify(event)))
      isFull = false
      return true
    } catch (error) {
      if (!isAppError(error, 'disk_full')) throw error
      if (!isFull) logger.error({ error }, 'no space for events; keeping them in memory')
      isFull = true
      return false
    }
  }

  /** Nothing is lost while the disk is full: what cannot be written waits in memory, and goes first. */
  function drainWaiting(): void {
    while (waiting[0] !== undefined && write(waiting[0].event, waiting[0].eventClass)) waiting.shift()
  }

  const report: Report = (event, fixed = {}) => {
    const base = { id: uuidv7(), at: new Date(clock.nowMs()).toISOString(), ...fixed }
    const full = { ...base, ...event } as AgentEvent
    reported += 1
    waiting.push({ event: full, eventClass: classOf(event) })
    drainWaiting()
    pump()
  }

  function reportGaps(): void {
    for (const gap of spool.takeGaps())
      report({
        type: 'spool.gap',
        fromSeq: gap.fromSeq,
        toSeq: gap.toSeq,
        count: gap.count,
        class: gap.class,
      })
  }

  function pump(): void {
    clearTimeout(timer)
    timer = undefined
    drainWaiting()
    while (isLinked && credits > 0) {
      const { epoch, records } = spool.read({
        afterSeq: sentSeq,
        maxBytes: linkLimits.maxBatchBytes,
        maxRecords: linkLimits.maxBatchRecords,
      })
      const last = records.at(-1)
      if (last === undefined) break
      const body = {
        epoch,
        records: records.map(({ seq, payload }) => ({
          seq,
          event: JSON.parse(Buffer.from(payload).toString()) as unknown,
        })),
      }
      if (!send('events', body)) break
      credits -= 1
      sentSeq = last.seq
    }
    if (waiting.length > 0) timer = setTimeout(pump, retryMs)
  }

  reportGaps()
  return {
    report,
    onWelcome: (granted) => {
      isLinked = true
      credits = granted
      sentSeq = spool.ackedSeq
      reportGaps()
      pump()
    },
    onAck: ({ epoch, seq, credits: granted }) => {
      spool.ack(epoch, seq)
      credits += granted
      pump()
    },
    onOffline: () => {
      isLinked = false
      credits = 0
    },
    reported: () => reported,
    isDiskFull: () => isFull,
  }
}
