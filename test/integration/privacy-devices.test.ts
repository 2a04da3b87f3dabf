// The devices that a process could reach. Other programs stand in for the two halves, each with a /dev of its own.
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import { fileChecks } from '../../agent/cli/privacy/file-checks.ts';
import type { HalfName, Machine } from '../../agent/cli/privacy/machine.ts';
import { missing } from '../support/broker.ts';
import { halfOf, started } from '../support/started.ts';

const without = process.getuid?.() === 0 ? missing('unshare', 'setpriv') : 'needs root to make namespaces';

describe.skipIf(without)(`privacy verify: the devices within reach of a process${without ? ` (left out: ${without})` : ''}`, () => {
  /** With these nodes under /dev, below which all others are hidden. */
  async function withNodes(name: HalfName, nodes: readonly string[], unit?: Record<string, string>): Promise<Finding> {
    const make = nodes.map((node) => `mknod -m 600 /dev/${node}`).join(' && ');
    const pid = await started('unshare', '-m', 'sh', '-c', `mount -t tmpfs none /dev && mkdir /dev/snd && ${make} && echo && exec sleep 60`);
    return fileChecks[3].run({ ...halfOf(name, pid), ...(unit ? { unit } : {}) }, {} as Machine) as Finding;
  }
  const [card, camera, disk] = ['snd/pcmC0D0c c 116 24', 'video0 c 81 0', 'sda b 8 0'];
  const nothing = ['null c 1 3', 'zero c 1 5', 'full c 1 7', 'random c 1 8', 'urandom c 1 9'];
  const terminals = ['tty c 5 0', 'ptmx c 5 2'];

  test('a /dev of what holds nothing, and of terminals, passes for either half', async () => {
    expect(await withNodes('courier', [...nothing, ...terminals])).toMatchObject({ state: 'pass', found: { key: 'privacy.reach.none' } });
    expect(await withNodes('listener', [...nothing, ...terminals, card])).toMatchObject({ state: 'pass', found: { key: 'privacy.reach.sound' } });
  });

  test.each([card, 'snd/seq c 116 1', 'dsp c 14 3', camera, disk, 'mem c 1 1', 'kmsg c 1 11', 'tty1 c 4 1'])('the courier fails with %s', async (node) => {
    const what = `/dev/${node.split(' ')[0]}`;
    expect(await withNodes('courier', [...nothing, node])).toMatchObject({ state: 'fail', found: { key: 'privacy.reach.courier', values: { what } } });
  });

  test.each([camera, disk, 'mem c 1 1', 'kmsg c 1 11', 'tty1 c 4 1'])(
    'the listener fails with %s, unless its unit denies all devices but those of sound',
    async (node) => {
      const nodes = [...nothing, card, node];
      const held = async (DevicePolicy: string, DeviceAllow: string) => {
        const { state, found } = await withNodes('listener', nodes, { DevicePolicy, DeviceAllow });
        return [state, found.key];
      };
      const failed = ['fail', 'privacy.reach.listener'];
      expect(await withNodes('listener', nodes)).toMatchObject({ state: 'fail', found: { values: { what: `/dev/${node.split(' ')[0]}` } } });
      expect(await held('closed', 'char-alsa rw')).toEqual(['pass', 'privacy.reach.policy']);
      expect(await held('closed', 'char-rtc r; char-alsa rw')).toEqual(['pass', 'privacy.reach.policy']);
      expect(await held('auto', 'char-alsa rw')).toEqual(failed);
      expect(await held('closed', 'char-alsa rw; char-video4linux rw')).toEqual(failed);
      expect(await held('closed', '')).toEqual(failed);
    },
  );
});
