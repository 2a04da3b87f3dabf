import { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { microphoneOpener } from '../../agent/audio/microphone.ts';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { cardTree } from '../support/cards.ts';

type Usb = { port: string; model: string; serial?: string };
const plain: Usb = { port: '1-1.3', model: '0d8c:0014' };
const numbered: Usb = { ...plain, serial: 'A7' };
const twin: Usb = { ...plain, port: '1-1.4' };
const other: Usb = { port: '1-1.3', model: '1234:5678', serial: 'Z' };

/**
 * The microphone of a listener over a tree of cards, opened as often as asked. A shell script stands in for arecord;
 * the tree records which card it holds.
 */
function microphone(settings: object) {
  const { root, tree, plug, unplugAll } = cardTree();
  mkdirSync(join(root, 'bin'));
  // only one process at a time can have the device
  const script = `exec 9>${root}/device
flock -n 9 || { echo 'arecord: main:831: audio open error: Device or resource busy' >&2; exit 1; }
echo "$*" >>${root}/asked
echo $$ >${root}/starts
mv ${root}/starts ${root}/pid
until [ -e ${root}/go ]; do sleep 0.05 9>&-; done
while :; do head -c 8000 /dev/urandom 9>&-; sleep 0.1 9>&-; done
`;
  writeFileSync(join(root, 'bin/arecord'), `#!/bin/sh\n${script}`, { mode: 0o755 });
  vi.stubEnv('PATH', `${root}/bin:${process.env.PATH}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const value = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { sampleRateHz: 16000, ...settings } };
  const config = checkConfig(value, 'test').microphone;
  const open = microphoneOpener(config, systemClock(), tree);
  const pid = join(root, 'pid');
  async function begins(held: (pid: number) => void, sound: boolean): Promise<void> {
    await vi.waitFor(() => expect(existsSync(pid)).toBe(true), { timeout: 20_000 });
    held(Number(readFileSync(pid, 'utf8')));
    if (sound) writeFileSync(join(root, 'go'), '');
  }
  return {
    plug,
    unplugAll,
    /** The number of channels that each arecord was asked for. */
    channels: () => [...readFileSync(join(root, 'asked'), 'utf8').matchAll(/-c (\d)/g)].map(([, count]) => Number(count)),
    /**
     * Opens the microphone. Once arecord runs, `held` sets the cards, and then there is sound, or none. Returns
     * `heard` or the fault.
     */
    async hear(held: (pid: number) => void, sound = true): Promise<string> {
      for (const name of ['pid', 'go']) rmSync(join(root, name), { force: true });
      const stop = new AbortController();
      try {
        const frames = (await open()).frames(stop.signal)[Symbol.asyncIterator]();
        const first = frames.next();
        await begins(held, sound);
        await first;
        stop.abort();
        await frames.return?.(undefined);
        return 'heard';
      } catch (error) {
        return (error as { fault: string }).fault;
      }
    },
    /** Listens as `doctor` does. */
    async examine(held: (pid: number) => void) {
      const heard = machineProbes('', systemClock(), tree).listen(config, 1, new AbortController().signal);
      await begins(held, true);
      return heard;
    },
    /** The only card from then on, held by arecord. */
    alone(index: number, id: string, usb: Usb) {
      return (owner: number) => {
        unplugAll();
        plug(index, id, usb, owner);
      };
    },
  };
}

test('with a device name that identifies nothing, another microphone is refused; one with a serial number may change its port', async () => {
  const { hear, alone } = microphone({});
  expect(await hear(alone(1, 'Device', numbered))).toBe('heard');
  expect(await hear(alone(2, 'Device', { ...numbered, port: '1-1.4' }))).toBe('heard');
  expect(await hear(alone(1, 'Other', other))).toBe('wrong_device');
  expect(await hear(alone(1, 'Device', numbered))).toBe('heard');
});

test.each(['default', 'usb:0d8c:0014', '/dev/snd/by-id/usb-Device-00', 'plughw:CARD=Device,DEV=0'])(
  'named %s, a microphone without a serial number may change its card number, but not its port',
  async (device) => {
    const { hear, alone, plug, unplugAll } = microphone({ device });
    const again = async (index: number, usb: Usb) => {
      unplugAll();
      plug(index, 'Device', usb);
      return hear(alone(index, 'Device', usb));
    };
    expect(await again(1, plain)).toBe('heard');
    expect(await again(3, plain)).toBe('heard');
    expect(await again(1, twin)).toBe('wrong_device');
    expect(await again(2, plain)).toBe('heard');
  },
);

test('a different card that arrives while the named one is opened is refused, at the first opening too', async () => {
  const { hear, alone, plug } = microphone({ device: 'usb:1-1.3' });
  plug(1, 'Device', numbered);
  expect(await hear(alone(1, 'Other', other))).toBe('wrong_device');
});

test('a card at another port with the same serial number is refused', async () => {
  const { hear, plug } = microphone({ device: 'usb:1-1.3' });
  plug(1, 'Device', numbered);
  expect(await hear((owner) => plug(2, 'Device_1', { ...numbered, port: '1-1.4' }, owner))).toBe('wrong_device');
});

test('the sampling rate of the hardware is known once it is heard', async () => {
  const { examine, plug } = microphone({});
  expect(await examine((owner) => plug(1, 'Device', numbered, owner, 8000))).toMatchObject({ hardwareRate: 8000 });
});

test('with more than two channels the capture is restarted with one channel, the mean of all, after the first capture ended', async () => {
  const { hear, plug, unplugAll, channels } = microphone({});
  const held = (count: number) => (owner: number) => {
    unplugAll();
    plug(1, 'Device', numbered, owner, 48_000, count);
  };
  for (const count of [1, 2]) expect(await hear(held(count))).toBe('heard');
  // it takes a while to end, as in a driver
  vi.spyOn(ChildProcess.prototype, 'kill').mockImplementation(function (this: ChildProcess) {
    setTimeout(() => this.exitCode === null && this.signalCode === null && process.kill(this.pid as number, 'SIGKILL'), 300);
    return true;
  });
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await hear(held(4))).toBe('heard');
  expect(channels()).toEqual([2, 2, 2, 1]);
});

test('without a sample for 10 s the microphone is stuck, even if a longer silence is allowed', async () => {
  const { hear } = microphone({ silenceTimeoutSeconds: 600 });
  const began = performance.now();
  expect(await hear(() => undefined, false)).toBe('stuck');
  expect(performance.now() - began).toBeGreaterThan(9900);
}, 60_000);
