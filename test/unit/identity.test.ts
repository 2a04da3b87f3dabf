import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { cardHeldBy, type DeviceTree, listCards, resolveDevice } from '../../agent/audio/identity.ts';
import { microphoneOpener } from '../../agent/audio/microphone.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { systemClock } from '../../agent/lib/clock.ts';

// A tree of files as sysfs, /dev/snd and /proc/asound have it (read from a Linux 6.1 with a USB microphone). It cannot show
// how long a driver takes to make them.
let root: string;
let tree: DeviceTree;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tocsin-cards-'));
  tree = { sys: join(root, 'sys'), dev: join(root, 'dev'), proc: join(root, 'proc') };
  mkdirSync(join(tree.sys, 'class/sound'), { recursive: true });
});

function plug(index: number, id: string, usb?: { port: string; model: string; serial?: string }, ownerPid?: number): void {
  const parent = join(tree.sys, 'devices', usb ? `usb1/${usb.port}` : 'platform/hdmi');
  const card = join(parent, usb ? `${usb.port}:1.0/sound/card${index}` : `sound/card${index}`);
  mkdirSync(join(card, `pcmC${index}D0c`), { recursive: true });
  writeFileSync(join(card, 'id'), `${id}\n`);
  if (usb) {
    const [vendor, product] = usb.model.split(':');
    writeFileSync(join(parent, 'idVendor'), `${vendor}\n`);
    writeFileSync(join(parent, 'idProduct'), `${product}\n`);
    if (usb.serial) writeFileSync(join(parent, 'serial'), `${usb.serial}\n`);
    symlinkSync(join(parent, `${usb.port}:1.0`), join(card, 'device'));
    mkdirSync(join(tree.dev, 'snd/by-id'), { recursive: true });
    symlinkSync(`../controlC${index}`, join(tree.dev, `snd/by-id/usb-${id}-00`));
  }
  symlinkSync(card, join(tree.sys, `class/sound/card${index}`));
  const status = join(tree.proc, `asound/card${index}/pcm0c/sub0`);
  mkdirSync(status, { recursive: true });
  writeFileSync(join(status, 'status'), ownerPid ? `state: RUNNING\nowner_pid   : ${ownerPid}\n` : 'closed\n');
}
function unplugAll(): void {
  rmSync(root, { recursive: true });
  mkdirSync(join(tree.sys, 'class/sound'), { recursive: true });
}
const usb = { port: '1-1.3', model: '0d8c:0014', serial: 'A7' };
const faultOf = (run: () => unknown) => {
  try {
    run();
    return 'none';
  } catch (error) {
    return (error as { fault?: string }).fault;
  }
};

test.each(['usb:1-1.3', 'usb:0d8c:0014', 'usb:0d8c:0014:A7', 'usb:1-1.3,0d8c:0014', '/dev/snd/by-id/usb-Device-00'])(
  '%s leads to the same microphone under another card number, and to none when it is away',
  (name) => {
    plug(1, 'Device', usb);
    plug(2, 'Other', { port: '1-1.4', model: '1234:5678' });
    expect(resolveDevice(name, tree)).toMatchObject({ pcm: 'plughw:CARD=Device,DEV=0', card: { index: 1 } });
    unplugAll();
    plug(1, 'Other', { port: '1-1.4', model: '1234:5678' });
    expect(faultOf(() => resolveDevice(name, tree))).toBe('absent');
    plug(3, 'Device', usb);
    expect(resolveDevice(name, tree)).toMatchObject({ pcm: 'plughw:CARD=Device,DEV=0', card: { index: 3 } });
  },
);

test('another microphone in its port, or two alike, are refused', () => {
  plug(1, 'Other', { port: '1-1.3', model: '1234:5678' });
  expect(faultOf(() => resolveDevice('usb:1-1.3,0d8c:0014', tree))).toBe('wrong_device');
  expect(faultOf(() => resolveDevice('usb:0d8c:0014', tree))).toBe('absent');
  plug(2, 'Device', usb);
  plug(3, 'Device_1', { ...usb, port: '1-1.2', serial: 'B8' });
  expect(faultOf(() => resolveDevice('usb:0d8c:0014', tree))).toBe('wrong_device');
  expect(resolveDevice('usb:0d8c:0014:B8', tree).card?.index).toBe(3);
});

test('an ALSA card id must be there; other ALSA names pass', () => {
  plug(0, 'vc4hdmi');
  expect(resolveDevice('plughw:CARD=vc4hdmi,DEV=0', tree).card?.index).toBe(0);
  expect(faultOf(() => resolveDevice('plughw:CARD=Device,DEV=0', tree))).toBe('absent');
  expect(resolveDevice('pulse', tree)).toEqual({ pcm: 'pulse' });
  expect(listCards(tree)).toEqual([{ index: 0, id: 'vc4hdmi', devices: [0] }]);
});

test('the card that a process holds is found', () => {
  plug(1, 'Device', usb, 4711);
  expect(cardHeldBy(4711, tree)?.id).toBe('Device');
  expect(cardHeldBy(47, tree)).toBeUndefined();
});

test('under a name that binds nothing, a microphone of another make is not taken in silence', async () => {
  const { microphone } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { sampleRateHz: 16000 } }, 'test');
  const bin = join(root, 'bin');
  mkdirSync(bin);
  // stands for arecord on the device `default`; the kernel's record of who holds which card is written below
  writeFileSync(join(bin, 'arecord'), `#!/bin/sh\necho $$ > ${root}/pid\nwhile [ ! -e ${root}/go ]; do sleep 0.05; done\nexec head -c 64000 /dev/urandom\n`, {
    mode: 0o755,
  });
  const path = process.env.PATH;
  process.env.PATH = `${bin}:${path}`;
  const open = microphoneOpener(microphone, systemClock(), tree);
  const hear = async (make: (pid: number) => void) => {
    for (const name of ['pid', 'go']) rmSync(join(root, name), { force: true });
    const stop = new AbortController();
    const source = await open();
    const frames = source.frames(stop.signal)[Symbol.asyncIterator]();
    const first = frames.next();
    const { readFileSync, existsSync } = await import('node:fs');
    while (!existsSync(join(root, 'pid')) || !readFileSync(join(root, 'pid'), 'utf8').trim()) await new Promise((r) => setTimeout(r, 20));
    make(Number(readFileSync(join(root, 'pid'), 'utf8')));
    writeFileSync(join(root, 'go'), '');
    const outcome = await first.then(
      () => 'heard',
      (error) => error.fault,
    );
    stop.abort();
    await frames.return?.(undefined);
    return outcome;
  };
  const again = (index: number, id: string, device: typeof usb) => (pid: number) => {
    for (const folder of ['sys', 'proc', 'dev']) rmSync(join(root, folder), { recursive: true, force: true });
    mkdirSync(join(tree.sys, 'class/sound'), { recursive: true });
    plug(index, id, device, pid);
  };
  expect(await hear(again(1, 'Device', usb))).toBe('heard');
  expect(await hear(again(2, 'Device', { ...usb, port: '1-1.4' }))).toBe('heard');
  expect(await hear(again(1, 'Other', { port: '1-1.3', model: '1234:5678', serial: 'Z' }))).toBe('wrong_device');
  expect(await hear(again(1, 'Device', usb))).toBe('heard');
  process.env.PATH = path;
});

test('a card number is refused in the configuration', () => {
  for (const device of ['hw:1,0', 'plughw:0', 'plughw:CARD=1,DEV=0', 'usb:2', 'usb:']) {
    const value = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device } };
    expect(() => checkConfig(value, 'test'), device).toThrow(/microphone.device: expected a name that survives a reboot/);
  }
});
