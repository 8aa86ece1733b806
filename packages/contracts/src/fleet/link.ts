import { z } from 'zod'
import { countSchema, idSchema, sha256Schema } from '../common.ts'
import { machineFactsSchema } from '../inventory/facts.ts'
import { holdReasonSchema, realtimeFiguresSchema, scanProgressSchema } from '../malware/scan.ts'
import { scannerHealthSchema } from '../malware/scanner.ts'
import { sharingDownMessages, sharingUpMessages } from '../malware/sharing.ts'
import { agentCapsSchema, moduleUsageSchema } from './resources.ts'

/**
 * The link: one mTLS WebSocket from each agent and scanner to the center, path /link.
 * A frame is the JSON of `{v, type, id?, body}`; larger ones are zstd in a binary frame.
 * Types that a side does not know are ignored and counted; fields are only ever added.
 */
export const protocolVersion = 1
export const linkPath = '/link'
export const linkLimits = {
  maxFrameBytes: 1024 * 1024,
  /** Of one events batch, before compression. */
  maxBatchBytes: 256 * 1024,
  maxBatchRecords: 1000,
  heartbeatIntervalMs: 10_000,
  /** No sign of life for this long: offline. */
  offlineAfterMs: 25_000,
} as const

export const envelopeSchema = z.object({
  v: z.number().int().min(1).max(1000),
  type: z.string().min(1).max(60),
  /** Pairs a request with its reply. */
  id: z.string().max(60).optional(),
  body: z.unknown(),
})
export type Envelope = z.infer<typeof envelopeSchema>

const signedText = { payload: z.string().max(1024 * 1024), signature: z.string().max(200) }

/** Messages of an agent or scanner to the center. */
export const upMessages = {
  hello: z.object({
    softwareVersion: z.string().max(40),
    /** The machine instance as the platform tells it (DMI uuid, cloud instance id), or '' where nothing does. */
    instanceId: z.string().max(200),
    bootId: z.string().max(64),
    /** Random at each start of the process; in memory only. */
    processNonce: z.string().max(64),
    /** The last ratchet that the center gave and this side stored; '' before the first. */
    ratchet: z.string().max(64),
    facts: machineFactsSchema.optional(),
    addresses: z
      .array(z.object({ host: z.string().max(253), port: z.number().int().min(1).max(65_535) }))
      .max(16)
      .optional(),
    appliedVersion: countSchema,
  }),
  /** The new ratchet is on disk. */
  'welcome.ok': z.object({ ratchet: z.string().max(64) }),
  heartbeat: z.object({
    state: z.enum(['ok', 'degraded']),
    /** Codes of what is degraded, e.g. no_scanner, disk_full. */
    problems: z.array(z.string().max(60)).max(32),
    rssBytes: countSchema,
    cpuPercent: z.number().nonnegative(),
    spoolRecords: countSchema,
    spoolBytes: countSchema,
    droppedRecords: countSchema,
    unknownMessages: countSchema,
    scanner: scannerHealthSchema.optional(),
    realtime: realtimeFiguresSchema.optional(),
    caps: agentCapsSchema.optional(),
    modules: z.array(moduleUsageSchema).max(16).optional(),
  }),
  facts: machineFactsSchema,
  events: z.object({
    epoch: idSchema,
    records: z
      .array(z.object({ seq: countSchema, event: z.unknown() }))
      .min(1)
      .max(linkLimits.maxBatchRecords),
  }),
  /** Lossy: the newest replaces the one before. */
  'scan.progress': z.object({ scanId: idSchema, progress: scanProgressSchema }),
  applied: z.object({ version: countSchema, hash: sha256Schema, errorCode: z.string().max(60).nullable() }),
  /** A request, answered by quarantine.answer with the same id. */
  'quarantine.ask': z.object({ sha256: sha256Schema }),
  /** A new key for this identity: renewal, or the answer to a split. Answered by certificate. */
  csr: z.object({ csrPem: z.string().max(8000), reason: z.enum(['renewal', 'split']) }),
  ...sharingUpMessages,
} as const

/** Messages of the center to an agent or scanner. */
export const downMessages = {
  welcome: z.object({
    id: idSchema,
    ratchet: z.string().max(64),
    /** Event batches that may be under way without an ack. */
    credits: z.number().int().min(0).max(1000),
    serverTime: z.iso.datetime({ offset: true }),
    desiredVersion: countSchema,
  }),
  desired: z.object(signedText),
  ack: z.object({ epoch: idSchema, seq: countSchema, credits: z.number().int().min(0).max(1000) }),
  'quarantine.answer': z.object({
    sha256: sha256Schema,
    answer: z.enum(['grant', 'hold']),
    /** Why to hold. */
    holdReason: holdReasonSchema.optional(),
  }),
  /** This identity is in use by another machine: make a new key, send a csr, reconnect with the new certificate. */
  split: z.object({ newId: idSchema, parentId: idSchema }),
  certificate: z.object({ id: idSchema, certificatePem: z.string().max(8000), caPem: z.string().max(8000) }),
  /** Sent before the center closes the socket on purpose. */
  bye: z.object({
    code: z.string().max(60),
    params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  ...sharingDownMessages,
} as const

export type UpMessages = { [T in keyof typeof upMessages]: z.infer<(typeof upMessages)[T]> }
export type DownMessages = { [T in keyof typeof downMessages]: z.infer<(typeof downMessages)[T]> }
export type UpType = keyof UpMessages
export type DownType = keyof DownMessages
