import { accessRoutes } from './access/api.ts'
import { alarmRoutes } from './alarms/api.ts'
import { fleetRoutes } from './fleet/api.ts'
import { inventoryRoutes } from './inventory/api.ts'
import { assetRoutes } from './inventory/assets.ts'
import { savedFilterRoutes } from './inventory/filters.ts'
import { platformRoutes } from './inventory/platforms.ts'
import { protectRoutes } from './inventory/protect.ts'
import { malwareRoutes } from './malware/api.ts'
import { lineageRoutes } from './malware/lineage-api.ts'
import { scheduleRoutes } from './malware/schedules-api.ts'
import { sharingRoutes } from './malware/sharing-api.ts'
import { slotRoutes } from './malware/slots-api.ts'
import { systemRoutes } from './system/api.ts'

/** Every route of the API, by operation id. A new slice adds its group here. */
export const apiRoutes = {
  ...accessRoutes,
  ...fleetRoutes,
  ...inventoryRoutes,
  ...platformRoutes,
  ...assetRoutes,
  ...savedFilterRoutes,
  ...protectRoutes,
  ...malwareRoutes,
  ...sharingRoutes,
  ...lineageRoutes,
  ...slotRoutes,
  ...scheduleRoutes,
  ...alarmRoutes,
  ...systemRoutes,
}
export type ApiRoutes = typeof apiRoutes
export type OperationId = keyof ApiRoutes
