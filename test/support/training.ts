import { spawnSync } from 'node:child_process';
import { missing } from './broker.ts';

/** The reason why the training cannot run here. It needs Debian's own Python, which has the packages. */
export const python = '/usr/bin/python3';
const packages = 'numpy, pandas, scipy, soundfile';
export const withoutTraining =
  missing(python, 'tar') ?? (spawnSync(python, ['-c', `import ${packages}`]).status === 0 ? undefined : `needs ${packages} in ${python}`);
