export {
  type MountRule,
  sortRoots,
  type WalkMount,
  type WalkOptions,
  walk,
  walkerPath,
} from './walk.ts'
export { walkInNode, walkReasonOf } from './walk-in-node.ts'
export {
  ctimeMsOf,
  identityBytes,
  identityOffsets,
  modeOf,
  sizeOf,
  WalkReader,
  type WalkReason,
  walkKinds,
  walkReasons,
  writeIdentity,
} from './walk-stream.ts'
