import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { type DeviceTree, describe, heldBy, isSame, listCards, resolveDevice, type SoundCard } from '../../agent/audio/identity.ts';
import { bindsBest, usbDevices } from '../../agent/cli/devices.ts';
import { translateError } from '../../agent/cli/translate.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { cardTree } from '../support/cards.ts';

let cards: ReturnType<typeof cardTree>;
let tree: DeviceTree;
beforeEach(() => {
  cards = cardTree();
  tree = cards.tree;
});
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
  '%s finds the same microphone under another card number, and none when it is unplugged',
  (name) => {
    cards.plug(1, 'Device', usb);
    cards.plug(2, 'Other', { port: '1-1.4', model: '1234:5678' });
    expect(resolveDevice(name, tree)).toMatchObject({ pcm: 'plughw:CARD=Device,DEV=0', card: { index: 1 } });
    cards.unplugAll();
    cards.plug(1, 'Other', { port: '1-1.4', model: '1234:5678' });
    expect(faultOf(() => resolveDevice(name, tree))).toBe('absent');
    cards.plug(3, 'Device', usb);
    expect(resolveDevice(name, tree)).toMatchObject({ pcm: 'plughw:CARD=Device,DEV=0', card: { index: 3 } });
  },
);

test('another microphone in the named port, or two that match the name, are refused', () => {
  cards.plug(1, 'Other', { port: '1-1.3', model: '1234:5678' });
  expect(faultOf(() => resolveDevice('usb:1-1.3,0d8c:0014', tree))).toBe('wrong_device');
  expect(faultOf(() => resolveDevice('usb:0d8c:0014', tree))).toBe('absent');
  cards.plug(2, 'Device', usb);
  cards.plug(3, 'Device_1', { ...usb, port: '1-1.2', serial: 'B8' });
  expect(faultOf(() => resolveDevice('usb:0d8c:0014', tree))).toBe('wrong_device');
  expect(resolveDevice('usb:0d8c:0014:B8', tree).card?.index).toBe(3);
});

test('the error about another microphone in its place is translated to French completely', () => {
  const said = () => {
    try {
      return resolveDevice('usb:0d8c:0014', tree).pcm;
    } catch (error) {
      return translateError((error as Error).message, 'fr');
    }
  };
  expect(said()).toBe('Attendu le microphone usb:0d8c:0014, obtenu aucun microphone');
  cards.plug(1, 'Other', { port: '1-1.3', model: '1234:5678', serial: 'Z' });
  cards.plug(2, 'Card');
  expect(said()).toBe('Attendu le microphone usb:0d8c:0014, obtenu usb:1-1.3,1234:5678:Z; CARD=Card');
  for (const port of ['1-1.4', '1-1.5']) cards.plug(Number(port.at(-1)), `Device_${port.at(-1)}`, { ...usb, port });
  expect(said()).toBe('Attendu un seul microphone usb:0d8c:0014, obtenu usb:1-1.4,0d8c:0014:A7; usb:1-1.5,0d8c:0014:A7');
});

const plain = { model: '0d8c:0014' }; // like most devices, without a serial number
const byId = '/dev/snd/by-id/usb-C-Media_USB_Audio-00';
test.each([
  ['usb:0d8c:0014', undefined],
  [byId, undefined],
  ['plughw:CARD=Device,DEV=0', undefined],
  ['usb:1-1.3', '1-1.3'],
  ['usb:1-1.4,0d8c:0014', '1-1.4'],
  ['/dev/snd/by-path/usb-1.4', '1-1.4'],
])('with two devices that differ only in the port, %s matches one only if it names a port', (name, port) => {
  cards.plug(1, 'Device', { ...plain, port: '1-1.3' });
  cards.plug(2, 'Device_1', { ...plain, port: '1-1.4' });
  cards.link('by-id/usb-C-Media_USB_Audio-00', 1);
  cards.link('by-path/usb-1.4', 2);
  if (port) expect(resolveDevice(name, tree).card?.usb?.path).toBe(port);
  else expect(faultOf(() => resolveDevice(name, tree))).toBe('wrong_device');
});

test('a serial number tells two devices of one model apart; the card id does not', () => {
  cards.plug(1, 'Device', usb);
  cards.plug(2, 'Device_1', { ...usb, port: '1-1.4', serial: 'B8' });
  for (const name of ['/dev/snd/by-id/usb-Device-00', 'usb:0d8c:0014:A7']) expect(resolveDevice(name, tree).card?.index, name).toBe(1);
  expect(faultOf(() => resolveDevice('plughw:CARD=Device,DEV=0', tree))).toBe('wrong_device');
});

test('the same microphone is one of its model and serial number at any port, without a serial number at its port; another card has another id', () => {
  const card = (id: string, device?: SoundCard['usb']): SoundCard => ({ index: 1, id, devices: [0], ...(device ? { usb: device } : {}) });
  const [own, moved] = [card('Device', { path: '1-1.3', id: '0d8c:0014', serial: 'A7' }), card('Device_1', { path: '1-1.4', id: '0d8c:0014', serial: 'A7' })];
  const [plain, plainMoved] = [card('Device', { path: '1-1.3', id: '0d8c:0014' }), card('Device', { path: '1-1.4', id: '0d8c:0014' })];
  const other = card('Device', { path: '1-1.3', id: '0d8c:0014', serial: 'B8' });
  expect([isSame(own, moved), isSame(own, other), isSame(own, plain)]).toEqual([true, false, false]);
  expect([isSame(plain, { ...plain, id: 'Device_1' }), isSame(plain, plainMoved), isSame(plain, card('PCH'))]).toEqual([true, false, false]);
  expect([isSame(card('PCH'), card('PCH')), isSame(card('PCH'), card('HDMI'))]).toEqual([true, false]);
});

test('a serial number that two devices share does not tell them apart', () => {
  for (const port of ['1-1.3', '1-1.4']) cards.plug(Number(port.at(-1)), `Device_${port.at(-1)}`, { ...usb, port });
  for (const name of ['usb:0d8c:0014:A7', '/dev/snd/by-id/usb-Device_3-00'])
    expect(
      faultOf(() => resolveDevice(name, tree)),
      name,
    ).toBe('wrong_device');
  expect(resolveDevice('usb:1-1.4', tree).card?.index).toBe(4);
});

test('an ALSA card id may contain a hyphen', () => {
  cards.plug(1, 'mic-front', usb);
  expect(resolveDevice('plughw:CARD=mic-front,DEV=0', tree).card?.index).toBe(1);
  expect(faultOf(() => resolveDevice('plughw:CARD=mic-rear,DEV=0', tree))).toBe('absent');
});

test('a card that is unplugged while it is read is left out', () => {
  cards.plug(1, 'Device', usb, 4711);
  cards.plug(2, 'Other', { port: '1-1.4', model: '1234:5678' });
  // its name is still listed, but its folder is gone
  rmSync(join(tree.sys, 'devices/usb1/1-1.3'), { recursive: true });
  expect(listCards(tree).map(({ id }) => id)).toEqual(['Other']);
  expect(faultOf(() => resolveDevice('usb:1-1.3', tree))).toBe('absent');
  expect(heldBy(4711, tree)).toBeUndefined();
  rmSync(join(tree.sys, 'devices/usb1/1-1.4/1-1.4:1.0/sound/card2/id'));
  expect(listCards(tree)).toEqual([]);
  rmSync(tree.proc, { recursive: true });
  cards.plug(3, 'Third', { port: '1-1.5', model: '1234:5678' });
  rmSync(join(tree.proc, 'asound/card3/pcm0c'), { recursive: true });
  expect(listCards(tree).map(({ id }) => id)).toEqual(['Third']);
  expect(heldBy(4711, tree)).toBeUndefined();
});

test('an ALSA card id must exist; other ALSA names are accepted', () => {
  cards.plug(0, 'vc4hdmi');
  expect(resolveDevice('plughw:CARD=vc4hdmi,DEV=0', tree).card?.index).toBe(0);
  expect(faultOf(() => resolveDevice('plughw:CARD=Device,DEV=0', tree))).toBe('absent');
  expect(resolveDevice('pulse', tree)).toEqual({ pcm: 'pulse' });
  expect(listCards(tree)).toEqual([{ index: 0, id: 'vc4hdmi', devices: [0] }]);
});

test('the card that a process holds is found, with the rate and channels of its hardware', () => {
  cards.plug(1, 'Device', usb, 4711, 8000);
  cards.plug(2, 'Other', { port: '1-1.4', model: '1234:5678' }, 4712);
  expect(heldBy(4711, tree)).toMatchObject({ card: { id: 'Device' }, rate: 8000, channels: 1 });
  expect(heldBy(4712, tree)).toMatchObject({ card: { id: 'Other' }, rate: undefined, channels: undefined });
  expect(heldBy(47, tree)).toBeUndefined();
});

test('bindsBest prefers a USB microphone by port and another card by its card id', () => {
  cards.plug(0, 'sndrpii2scard');
  cards.plug(1, 'Device', usb);
  const listed = listCards(tree);
  expect(usbDevices(listed)).toEqual([{ device: 'usb:1-1.3,0d8c:0014', description: 'Device, serial A7' }]);
  const names = ['usb:1-1.3,0d8c:0014', 'plughw:CARD=Device,DEV=0', 'plughw:CARD=sndrpii2scard,DEV=0', 'default', 'hw:CARD=sndrpii2scard,DEV=0'];
  expect(names.filter((name) => bindsBest(name, listed))).toEqual(['usb:1-1.3,0d8c:0014', 'plughw:CARD=sndrpii2scard,DEV=0']);
});

test('the name by which an error lists a USB microphone, serial number and all, may be copied into the configuration', () => {
  cards.plug(1, 'Device', usb);
  cards.plug(2, 'Device_1', { ...usb, port: '1-1.4', serial: 'B 8/9:C' });
  const names = describe(listCards(tree)).split('; ');
  expect(names).toEqual(['usb:1-1.3,0d8c:0014:A7', 'usb:1-1.4,0d8c:0014:B 8/9:C']);
  for (const [i, device] of names.entries()) {
    expect(checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device } }, 'test').microphone.device).toBe(device);
    expect(resolveDevice(device, tree).card?.index).toBe(i + 1);
  }
  expect(faultOf(() => resolveDevice('usb:1-1.4,0d8c:0014:A7', tree))).toBe('wrong_device');
});

test('the configuration refuses a card number in every form of ALSA name', () => {
  const numbered = [
    'hw:1,0',
    'plughw:0',
    'plughw:CARD=1,DEV=0',
    "plughw:CARD='1'",
    'dsnoop:1,0',
    'sysdefault:1',
    'default:1',
    'front:1,0',
    'plug:hw:1',
    "plug:'hw:1,0'",
  ];
  for (const device of [...numbered, 'usb:2', 'usb:']) {
    const value = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device } };
    expect(() => checkConfig(value, 'test'), device).toThrow(/microphone.device: expected a name that survives a reboot/);
  }
  for (const device of ['default', 'dsnoop:CARD=Device', 'street_2:1', '/dev/snd/by-path/pci-0000:00:1f.3', 'usb:1-1.3']) {
    const value = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device } };
    expect(checkConfig(value, 'test').microphone.device).toBe(device);
  }
});

test('the configuration refuses an ALSA device that would write sound to a file or a program', () => {
  const check = (device: string) =>
    checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device } }, 'test').microphone.device;
  const recording = [
    'tee:pulse,/var/lib/tocsin/all.raw',
    'tee:pulse,all.raw,raw',
    'file:all.raw',
    'pcm.tee:pulse,a',
    "plug:'tee:pulse,a,raw'",
    'plug:SLAVE="tee:pulse,a"',
  ];
  const hiding = ['plug:{SLAVE="tee:pulse,a"}', String.raw`plug:"\164ee:pulse,a"`, "tee:pulse,'|cat >all.raw'", 'plug:{ type file }'];
  for (const device of [...recording, ...hiding]) expect(() => check(device), device).toThrow(/no plug-in of ALSA that records/);
  const names = ['pulse', 'street', 'committee_1', "plug:SLAVE='dsnoop:CARD=Device,DEV=0'", 'usb:0d8c:0014:A/7 tee', '/dev/snd/by-id/usb-A_tee-00'];
  for (const device of names) expect(check(device)).toBe(device);
});
