export {
  assertDurable,
  connectionUrl,
  createDatabase,
  type DatabaseConnection,
  type DatabaseOptions,
} from './database.ts'
export { isConnectionError, isDiskFull, isUniqueViolation } from './database-errors.ts'
export { type ManagedCluster, type ManagedClusterOptions, startManagedCluster } from './managed-cluster.ts'
export { type Migration, type MigrationSet, migrate } from './migrator.ts'
export { createTestDatabase, TEST_CLUSTER_VARIABLE, type TestDatabase } from './test-database.ts'
