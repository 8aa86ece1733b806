import { defineConfig } from 'vitest/config'

/** Inside a guest of its own, emulated: every limit is a generous one, and none says how fast something must be. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 900_000,
    hookTimeout: 1_200_000,
  },
})
