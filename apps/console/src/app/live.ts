import { type LiveMessage, liveMessageSchema, type OperationId } from '@ringwall/contracts'
import type { QueryClient } from '@tanstack/react-query'

type ChangedObject = Extract<LiveMessage, { type: 'changed' }>['object']

/** Which reads show which objects. */
const readsOf: Record<ChangedObject, OperationId[]> = {
  machine: ['listMachines', 'getMachine', 'listMachineEvents', 'getOverview'],
  scanQueue: ['getScanQueue', 'listScanQueueHosts', 'listScanQueueEntries', 'listScanTargets'],
  schedule: ['listSchedules', 'getSchedule', 'listScanRuns', 'getScanRun', 'listScanRunMachines'],
  scan: ['listScans', 'getScan', 'listScanTargets', 'getOverview'],
  finding: [
    'listFindings',
    'getFinding',
    'getOverview',
    'listMachines',
    'listDecisions',
    'listLineage',
    'listClones',
  ],
  quarantine: ['listQuarantine', 'getOverview', 'getFinding', 'getHash', 'listUndoItems'],
  alarm: ['listAlarms', 'getOverview'],
  scanner: ['listScanners', 'getHealth', 'getOverview'],
  enrolToken: ['listEnrolTokens'],
  user: ['listUsers', 'listApiTokens'],
  policy: ['getMalwarePolicy'],
  platform: ['listPlatforms', 'getPlatform', 'getTopology', 'listPools'],
  asset: [
    'listAssets',
    'getAsset',
    'getTopology',
    'listPools',
    'listInventoryIssues',
    'getMachine',
    'listLineage',
    'listClones',
  ],
  pushJob: ['listPushJobs', 'getPushJob'],
  hash: ['listVerdicts', 'getHash', 'listHashMachines'],
  cache: ['getCache', 'listCacheFlushes', 'listContentVersions'],
  allowEntry: ['listAllowEntries', 'getHash'],
  rejudge: ['listRejudges'],
  undo: ['getUndo', 'listUndoItems', 'getHash'],
}

/** However much changes, a page reads again at most this often. */
const settleMs = 400

/** Keeps the cache in step with the center's server-sent events until the returned function is called. */
export function followLive(queries: QueryClient): () => void {
  const source = new EventSource('/api/v1/live', { withCredentials: true })
  const stale = new Set<OperationId>()
  let timer: ReturnType<typeof setTimeout> | undefined

  const flush = () => {
    timer = undefined
    for (const id of stale) void queries.invalidateQueries({ queryKey: [id] })
    stale.clear()
  }
  const onMessage = (event: MessageEvent<string>) => {
    const parsed = liveMessageSchema.safeParse(JSON.parse(event.data))
    if (!parsed.success) return
    if (parsed.data.type === 'reset') return void queries.invalidateQueries()
    const reads: OperationId[] =
      parsed.data.type === 'changed'
        ? readsOf[parsed.data.object]
        : ['getScan', 'listScanTargets', 'listScans']
    for (const id of reads) stale.add(id)
    timer ??= setTimeout(flush, settleMs)
  }
  source.addEventListener('message', onMessage)
  return () => {
    clearTimeout(timer)
    source.close()
  }
}
