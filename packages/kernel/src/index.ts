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
