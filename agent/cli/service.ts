import { execFile } from 'node:child_process';

export interface Service {
  /** active, inactive, failed...; unknown where systemd does not run or does not know the unit. */
  readonly state: string;
  /** What the running service last said of itself; empty when it says nothing. */
  readonly says: string;
}

/** Asks systemd for a unit. */
export async function readService(unit: string): Promise<Service> {
  const asked = await systemctlShow([unit, '-p', 'LoadState,ActiveState,StatusText'], 3000);
  const { LoadState, ActiveState, StatusText = '' } = asked ?? {};
  // of a unit that it does not know it says `inactive`, as of one that was stopped
  const state = (LoadState !== 'not-found' && ActiveState) || 'unknown';
  return { state, says: state === 'active' ? StatusText : '' };
}

/** The properties that systemd shows; undefined where it does not answer, or not in time. */
export function systemctlShow(args: readonly string[], timeout = 0): Promise<Record<string, string> | undefined> {
  return new Promise((done) => {
    execFile('systemctl', ['show', '--no-pager', ...args], { timeout, env: { ...process.env, LC_ALL: 'C' } }, (error, stdout) => {
      if (error) return done(undefined);
      const properties: Record<string, string> = {};
      // systemctl may print a list as one line for each part.
      for (const line of stdout.split('\n')) {
        const [, key = '', value = ''] = /^(\w+)=(.*)$/s.exec(line) ?? []; // StatusText is in words of the service, which may hold U+2028
        if (key !== '') properties[key] = properties[key] ? `${properties[key]}; ${value}` : value;
      }
      done(properties);
    });
  });
}
