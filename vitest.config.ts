import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

const files = (...folders: string[]) => folders.map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    globalSetup: ['test/support/announce.ts', 'test/support/own-locale.ts', 'test/support/one-temporary-folder.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    projects: [
      // these wait for timers and brokers more than they compute
      { extends: true, test: { name: 'parts', include: files('unit', 'contract', 'integration', 'reliability'), maxWorkers: 4, sequence: { groupOrder: 1 } } },
      // these play sound in real time: more than two side by side would starve each other on a small machine
      { extends: true, test: { name: 'whole', include: files('e2e', 'system'), maxWorkers: 2, sequence: { groupOrder: 2 } } },
    ],
  },
});
