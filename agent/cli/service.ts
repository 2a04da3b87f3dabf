import { execFile } from 'node:child_process';

export interface Service {
  /** active, inactive, failed...; unknown where systemd does not run or does not know the unit. */
  readonly state: string;
  /** What the running service last said of itself; empty when it says nothing. */
  readonly says: string;
}

/** Asks systemd for a unit. */
export function readService(unit: string): Promise<Service> {
  return new Promise((resolve) => {
    execFile('systemctl', ['show', unit, '-p', 'LoadState,ActiveState,StatusText'], { timeout: 3000 }, (error, stdout) => {
      const property = (name: string) => stdout.match(new RegExp(`^${name}=(.*)$`, 'm'))?.[1]?.trim() ?? '';
      // of a unit that it does not know it says `inactive`, as of one that was stopped
      const state = (!error && property('LoadState') !== 'not-found' && property('ActiveState')) || 'unknown';
      resolve({ state, says: state === 'active' ? property('StatusText') : '' });
    });
  });
}
