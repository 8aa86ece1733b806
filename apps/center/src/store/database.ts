/**
 * The tables of all slices as one type. Each slice describes its own in `slices/<slice>/tables.ts` and is added
 * here; nothing else in `store` knows a slice.
 */
import type { AccessTables } from '../slices/access/tables.ts'
import type { AlarmTables } from '../slices/alarms/tables.ts'
import type { FleetTables } from '../slices/fleet/tables.ts'
import type { InventoryTables } from '../slices/inventory/tables.ts'
import type { MalwareTables } from '../slices/malware/tables.ts'

export type Database = AccessTables & AlarmTables & FleetTables & InventoryTables & MalwareTables
