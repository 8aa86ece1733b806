export { type Capture, capture, captureSchema } from './capture.ts'
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
export { type OvirtSimulator, startOvirtSimulator } from './simulators/ovirt.ts'
export { type ProxmoxSimulator, startProxmoxSimulator } from './simulators/proxmox.ts'
export { createRandom } from './simulators/random.ts'
export { createReplay, startReplayServer } from './simulators/replay.ts'
export { createDataCentre, type DataCentre } from './simulators/state.ts'
export { openSshSession, type SshSession } from './ssh-session.ts'
export type * from './types.ts'
