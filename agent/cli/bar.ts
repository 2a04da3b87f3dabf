import { SingleBar } from 'cli-progress';
import { canDraw, screenOf } from './output.ts';
import { catalogue, type Translate } from './translate.ts';

/** How many of the files were heard, on a terminal; undefined where stderr is none. `stop` shows the cursor again. */
export function openBar(files: number, t: Translate): SingleBar | undefined {
  if (!canDraw(process.stderr)) return undefined;
  const barsize = Math.max(10, screenOf(process.stderr).columns - 40);
  const bar = new SingleBar({ format: catalogue['replay.bar'][t.language], stream: process.stderr, hideCursor: true, linewrap: true, barsize });
  bar.start(files, 0);
  return bar;
}
