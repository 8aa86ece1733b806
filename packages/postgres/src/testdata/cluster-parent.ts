import { startManagedCluster } from '../managed-cluster.ts'

// The test kills this process: `cluster-parent.ts <dataDir> <osUser>` starts a cluster and tells its pid.
const [dataDir = '', osUser = ''] = process.argv.slice(2)
const logger = { info() {}, warn() {}, error() {} }
const cluster = await startManagedCluster({ dataDir, osUser, logger, signal: AbortSignal.timeout(60_000) })
process.send?.(cluster.pid)
setInterval(() => {}, 1_000)
