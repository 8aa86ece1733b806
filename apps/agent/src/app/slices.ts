import { malware } from '../slices/malware/malware.ts'
import type { AgentSlice } from './slice.ts'

/** The capabilities of this agent: the one place that names them. */
export const slices: readonly AgentSlice[] = [malware]
