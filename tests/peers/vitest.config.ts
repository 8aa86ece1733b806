import { defineConfig } from 'vitest/config'

/** Connectors against the platforms themselves. A peer whose programs this machine lacks skips its tests and says so. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
})
