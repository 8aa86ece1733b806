import { createRootRoute, createRoute, createRouter, Outlet } from '@tanstack/react-router'
import { z } from 'zod'
import { PasswordPage } from '../slices/access/password-page.tsx'
import { SignInPage } from '../slices/access/sign-in-page.tsx'
import { OverviewPage } from '../slices/system/overview-page.tsx'
import { Shell } from './shell.tsx'

const root = createRootRoute({ component: Outlet })
const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell })

const text = z.string().optional().catch(undefined)
/** The filters of a list live in the address, so that a view can be shared. */
const filters = <Key extends string>(...keys: Key[]) =>
  z.object(Object.fromEntries(keys.map((key) => [key, text])) as Record<Key, typeof text>)

export const machineFilters = filters(
  'search',
  'pool',
  'linkState',
  'protection',
  'hasOpenFindings',
  'sha256',
  'madeFrom',
)
export const assetFilters = filters(
  'search',
  'platformId',
  'clusterId',
  'hostId',
  'isPlaced',
  'kind',
  'pool',
  'power',
  'osFamily',
  'label',
  'isProtected',
  'hasIssue',
  'isGone',
)
export const topologyFilters = filters('search', 'platformId', 'clusterId', 'hostId', 'isPlaced')
export const issueFilters = filters('state', 'kind')
export const lineageFilters = filters('search', 'machineId', 'side', 'isExecutable')
export const queueFilters = filters('state', 'hostId', 'scanId')
export const runFilters = filters('scheduleId', 'state')
export const hashFilters = filters('prefix', 'verdict', 'isStale')
export const allowFilters = filters('kind')
export const findingFilters = filters(
  'search',
  'severity',
  'state',
  'isOpen',
  'sha256',
  'machineId',
  'madeFrom',
  'scanId',
)
export const scanFilters = filters('state', 'machineId')
export const quarantineFilters = filters('search', 'state', 'machineId', 'sha256')
export const alarmFilters = filters('state', 'severity', 'kind', 'machineId')
export const auditFilters = filters('actor', 'action', 'failedOnly')

const routeTree = root.addChildren([
  createRoute({
    getParentRoute: () => root,
    path: '/sign-in',
    component: SignInPage,
    validateSearch: filters('next'),
  }),
  createRoute({ getParentRoute: () => root, path: '/password', component: PasswordPage }),
  shell.addChildren([
    createRoute({ getParentRoute: () => shell, path: '/', component: OverviewPage }),
    createRoute({ getParentRoute: () => shell, path: '/machines', validateSearch: machineFilters }).lazy(() =>
      import('../slices/inventory/machines-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/machines/$id' }).lazy(() =>
      import('../slices/inventory/machine-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/assets', validateSearch: assetFilters }).lazy(() =>
      import('../slices/inventory/assets-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/assets/$id' }).lazy(() =>
      import('../slices/inventory/asset-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/platforms' }).lazy(() =>
      import('../slices/inventory/platforms-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/platforms/$id' }).lazy(() =>
      import('../slices/inventory/platform-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/topology', validateSearch: topologyFilters }).lazy(
      () => import('../slices/inventory/topology-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/pools' }).lazy(() =>
      import('../slices/inventory/pools-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({
      getParentRoute: () => shell,
      path: '/inventory-issues',
      validateSearch: issueFilters,
    }).lazy(() => import('../slices/inventory/issues-page.tsx').then((page) => page.lazyRoute)),
    createRoute({ getParentRoute: () => shell, path: '/lineage', validateSearch: lineageFilters }).lazy(() =>
      import('../slices/malware/lineage-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/enrol' }).lazy(() =>
      import('../slices/fleet/enrol-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans', validateSearch: scanFilters }).lazy(() =>
      import('../slices/malware/scans-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans/$id' }).lazy(() =>
      import('../slices/malware/scan-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans/queue', validateSearch: queueFilters }).lazy(
      () => import('../slices/malware/scan-queue-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans/schedules' }).lazy(() =>
      import('../slices/malware/schedules-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans/runs', validateSearch: runFilters }).lazy(() =>
      import('../slices/malware/scan-runs-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans/runs/$id' }).lazy(() =>
      import('../slices/malware/scan-run-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/scans/limits' }).lazy(() =>
      import('../slices/malware/scan-limits-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/cache' }).lazy(() =>
      import('../slices/malware/cache-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/hashes', validateSearch: hashFilters }).lazy(() =>
      import('../slices/malware/hashes-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/hashes/$sha256' }).lazy(() =>
      import('../slices/malware/hash-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/allow-list', validateSearch: allowFilters }).lazy(() =>
      import('../slices/malware/allow-list-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/findings', validateSearch: findingFilters }).lazy(() =>
      import('../slices/malware/findings-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/findings/$id' }).lazy(() =>
      import('../slices/malware/finding-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/quarantine', validateSearch: quarantineFilters }).lazy(
      () => import('../slices/malware/quarantine-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/policy' }).lazy(() =>
      import('../slices/malware/policy-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/alarms', validateSearch: alarmFilters }).lazy(() =>
      import('../slices/alarms/alarms-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/users' }).lazy(() =>
      import('../slices/access/users-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/audit', validateSearch: auditFilters }).lazy(() =>
      import('../slices/access/audit-page.tsx').then((page) => page.lazyRoute),
    ),
    createRoute({ getParentRoute: () => shell, path: '/health' }).lazy(() =>
      import('../slices/system/health-page.tsx').then((page) => page.lazyRoute),
    ),
  ]),
])

export const router = createRouter({ routeTree, defaultPreload: 'intent' })

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
