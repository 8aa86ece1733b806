import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startManagedCluster } from './managed-cluster.ts'
import { TEST_CLUSTER_VARIABLE } from './test-database.ts'

/** One private cluster for a test run; it ends with the run. */
export async function setup(): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), 'ringwall-test-cluster-'))
  chmodSync(dir, 0o711)
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const cluster = await startManagedCluster({
    dataDir: join(dir, 'pg', 'data'),
    logger: silent,
    signal: AbortSignal.timeout(120_000),
  })
  process.env[TEST_CLUSTER_VARIABLE] = JSON.stringify(cluster.admin)
  return async () => {
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}
