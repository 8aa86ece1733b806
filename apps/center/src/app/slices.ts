import { access } from '../slices/access/access.ts'
import { alarms } from '../slices/alarms/alarms.ts'
import { fleet } from '../slices/fleet/fleet.ts'
import { inventory } from '../slices/inventory/inventory.ts'
import { malware } from '../slices/malware/malware.ts'
import { system } from '../slices/system/system.ts'
import type { CenterSlice } from './slice.ts'

/** The capabilities of this center: the one place that names them. */
export const slices: readonly CenterSlice[] = [access, fleet, inventory, malware, alarms, system]
