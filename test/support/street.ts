import { execFileSync, fork } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Street {
  /** The folder with the pipes `pcm` and `pcm-beside`, each for one reader: 48 kHz, mono, 16 bit, in real time. */
  readonly folder: string;
  /** Plays the test sound over the wind repeatedly, or only the wind. */
  play(sounding: boolean): void;
  close(): void;
}

/**
 * A street to listen to without a sound card: a pipe that an ALSA device of type `file` reads. It cannot show what a
 * kernel driver does. Its own process keeps time by the clock, so that a busy machine delays sound without losing any.
 */
export function openStreet(): Street {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-street-'));
  const pipes = ['pcm', 'pcm-beside'].map((name) => join(folder, name));
  execFileSync('mkfifo', ['-m', '644', ...pipes]);
  chmodSync(folder, 0o755);
  const child = fork(new URL('./street-air.ts', import.meta.url), pipes);
  return {
    folder,
    play: (sounding) => child.send({ sounding }),
    close: () => {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
