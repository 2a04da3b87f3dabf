import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/{unit,contract,integration,e2e,reliability,system}/**/*.test.ts'],
    globalSetup: 'test/support/announce.ts',
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // the end-to-end suites play sound in real time: side by side on a small machine they would starve each other
    fileParallelism: false,
    pool: 'forks',
  },
});
