export {
  type Baseline,
  createSampler,
  createSettledTest,
  type MountBaseline,
  untilDamaged,
} from './baseline.ts'
export { compileHelper, compileProcessAddon, compileWalker } from './compile.ts'
export type { FileKey } from './frames.ts'
export {
  type Ask,
  type AskAnswer,
  type Guard,
  type GuardPolicy,
  type GuardStats,
  openGuard,
} from './guard.ts'
export { findHelper } from './helper-path.ts'
export { memoryInUse, openReleaseMemory, yieldDisk } from './process.ts'
export {
  isTombstone,
  LayeredCursor,
  noIdentity,
  RecordCursor,
  type Records,
  recordHeaderBytes,
} from './records.ts'
export { mountPrivate } from './testing/private-mount.ts'
export {
  type MountRule,
  sortRoots,
  type WalkMount,
  type WalkOptions,
  walk,
  walkerPath,
} from './walk.ts'
export { walkReasonOf } from './walk-in-node.ts'
export {
  ctimeMsOf,
  identityBytes,
  identityOf,
  identityOffsets,
  modeOf,
  sizeOf,
  WalkReader,
  type WalkReason,
  WalkWriter,
  walkKinds,
  walkReasons,
} from './walk-stream.ts'
export { openWatch, type Watch, type WatchGap } from './watch.ts'
