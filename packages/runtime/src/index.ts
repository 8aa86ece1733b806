export * from './atomic-file.ts'
export * from './bytes.ts'
export * from './clock.ts'
export * from './crc32c.ts'
export * from './duration.ts'
export * from './framing.ts'
export * from './ids.ts'
export * from './limits.ts'
export * from './link/enrol.ts'
export {
  hasIdentity,
  type Identity,
  type IdentityStore,
  openIdentity,
  removeIdentity,
} from './link/identity-store.ts'
export { createLinkClient, type LinkClient, type LinkState } from './link/link-client.ts'
export * from './logger.ts'
export * from './packed-records.ts'
export * from './pki.ts'
export * from './process.ts'
export * from './retry.ts'
export * from './signing.ts'
export type { SpoolGap } from './spool/mark.ts'
export type { SpoolRecord } from './spool/segment.ts'
export { Spool, type SpoolBatch, type SpoolOptions, type SpoolStats } from './spool/spool.ts'
export * from './tls.ts'
