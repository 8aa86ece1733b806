export {
  createPinnedHttp,
  type HttpAnswer,
  type PinnedHttp,
  parseHttpsAddress,
  presentedFingerprint,
} from './http.ts'
export { normaliseMac, normaliseUuid, swapUuid } from './normalise.ts'
export type { Exchange, Recorder } from './recorder.ts'
export { connectors } from './registry.ts'
export type * from './types.ts'
