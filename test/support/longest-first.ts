import { BaseSequencer, type TestSpecification } from 'vitest/node';

// over a minute each on two cores: started among the last, one would run alone at the end
const long = ['soak', 'kill', 'closed-disk', 'failing-start', 'time', 'random-damage', 'egress'].map((name) => `/${name}.test.ts`);

/** Starts with the slowest files, which the size of a file, the default order, does not show. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => long.some((end) => moduleId.endsWith(end));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
