import { BaseSequencer, type TestSpecification } from 'vitest/node';

// over a minute each on two cores: begun among the last, one would run on alone
const long = ['soak', 'kill', 'closed-disk', 'failing-start', 'time', 'random-damage'].map((name) => `/${name}.test.ts`);

/** Begins with the files that take longest; the size of a file, by which they are ordered otherwise, does not tell. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => long.some((end) => moduleId.endsWith(end));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
