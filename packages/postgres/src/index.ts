export {
  assertDurable,
  connectionUrl,
  createDatabase,
  type DatabaseConnection,
  type DatabaseOptions,
} from './database.ts'
export { isConnectionError, isDiskFull, isUniqueViolation } from './database-errors.ts'
export type { DatabaseLogger } from './logger.ts'
export { type ManagedCluster, type ManagedClusterOptions, startManagedCluster } from './managed-cluster.ts'
export { type MigrateOptions, type Migration, type MigrationSet, migrate } from './migrator.ts'
export { createTestDatabase, type TestDatabase } from './test-database.ts'
export { type UnnestInsert, type UnnestTypes, unnest } from './unnest.ts'
