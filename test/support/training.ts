import { spawnSync } from 'node:child_process';
import { missing } from './broker.ts';

/** Why the training cannot be tried here: Debian's own Python, for that is where the packages that it needs are. */
export const python = '/usr/bin/python3';
const packages = 'numpy, pandas, scipy, soundfile';
export const withoutTraining =
  missing(python, 'tar') ?? (spawnSync(python, ['-c', `import ${packages}`]).status === 0 ? undefined : `needs ${packages} in ${python}`);
