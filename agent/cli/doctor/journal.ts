import type { Probes } from './probes.ts';

const mostMs = 1500;

/**
 * What a unit's own process wrote to the journal, without time and name; empty where it cannot be read, or not in time:
 * a large journal on a slow card costs a reason, not the finding.
 */
export async function journalOf(probes: Probes, unit: string, which: readonly string[], signal: AbortSignal): Promise<string> {
  const asked = [...which, '--output=cat', '--no-pager', `_SYSTEMD_UNIT=${unit}`];
  return (await probes.command('journalctl', asked, AbortSignal.any([signal, AbortSignal.timeout(mostMs)]))).stdout;
}
