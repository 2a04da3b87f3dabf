// What was found before an abort, so that the same command goes on from there.
import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { placeFile } from '../../lib/place-file.ts';
import { removeWhereItCan } from './seal.ts';
import { passed, type Stages, stageNames } from './stages.ts';

const freshMs = 30 * 60_000;

interface Kept {
  readonly of: string;
  readonly beganMonotonicMs: number;
  readonly stages: Stages;
}

interface Progress {
  /** Stages that passed before, in this boot, of this release and configuration, within half an hour. */
  readonly kept: Stages;
  /** Where it cannot be written the run goes on all the same: after an abort its stages are run again. */
  keep(stages: Stages): void;
  forget(): void;
}

export function openProgress(folder: string, sensor: string, configSha256: string, version: string, clock: Clock): Progress {
  const path = join(folder, `commission-${sensor}.partial.json`);
  const of = hash('sha256', `${clock.bootId} ${version} ${configSha256}`);
  const before = readKept(path);
  const valid = before?.of === of && clock.monotonicMs() - before.beganMonotonicMs < freshMs ? before : undefined;
  const beganMonotonicMs = valid?.beganMonotonicMs ?? clock.monotonicMs();
  return {
    kept: valid?.stages ?? {},
    keep(stages) {
      // else the next run begins at the first stage
      ifPossible(() => placeFile(path, JSON.stringify({ of, beganMonotonicMs, stages: good(stages) } satisfies Kept), 0o600));
    },
    forget: () => removeWhereItCan(path),
  };
}

const good = (stages: Stages): Stages => Object.fromEntries(stageNames.filter((name) => passed(stages, name)).map((name) => [name, stages[name]]));

/**
 * Undefined if there is none, if it cannot be read, or if another user owns it, who could then influence the signed
 * report: the stages are run again.
 */
function readKept(path: string): Kept | undefined {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if (fstatSync(file).uid !== process.geteuid?.()) return undefined;
      const { of, beganMonotonicMs, stages } = JSON.parse(readFileSync(file, 'utf8')) as Kept;
      return { of, beganMonotonicMs, stages: good(stages) };
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
