import { execFile } from 'node:child_process';
import { exitCodes, messageOf, TocsinError } from '../../lib/errors.ts';

const unit = 'tocsin-listener.service';

/** Runs `use` while the listener's service is stopped, and starts it again whatever happens; where it does not run, nothing is done. */
export async function withoutListener<T>(use: () => Promise<T>, paused: (running: boolean) => void): Promise<T> {
  if (!(await isActive())) return use();
  await systemctl('stop');
  paused(true);
  try {
    return await use();
  } finally {
    await systemctl('start'); // Type=notify: returns once it hears
    paused(false);
  }
}

function isActive(): Promise<boolean> {
  return new Promise((done) => execFile('systemctl', ['is-active', '--quiet', unit], (error) => done(error === null)));
}

function systemctl(verb: 'start' | 'stop'): Promise<void> {
  return new Promise((done, fail) => {
    execFile('systemctl', [verb, unit], { timeout: 60_000 }, (error) => {
      if (error === null) done();
      else
        fail(
          new TocsinError(`Expected systemctl ${verb} ${unit} to succeed, got: ${messageOf(error)}`, 'run it again with sudo', exitCodes.failure, {
            cause: error,
          }),
        );
    });
  });
}
