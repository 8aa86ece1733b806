export { compileHelper } from './compile.ts'
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
export { mountPrivate } from './testing/private-mount.ts'
export { openWatch, type Watch, type WatchGap } from './watch.ts'
