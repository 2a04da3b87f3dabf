import { existsSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ifPossible } from '../lib/if-possible.ts';
import { namesIn, readText } from '../lib/kernel-files.ts';
import { CaptureError } from './capture-error.ts';

/**
 * A sound card as the kernel names it now. `index` changes over a reboot; the USB path, id and serial number do not.
 */
export interface SoundCard {
  readonly index: number;
  readonly id: string;
  /** Port, for instance 1-1.3; vendor:product, for instance 0d8c:0014. */
  readonly usb?: { readonly path: string; readonly id: string; readonly serial?: string };
  /** Capture devices of the card. */
  readonly devices: readonly number[];
}

/** Where the kernel describes the cards; tests use a tree of their own. */
export interface DeviceTree {
  readonly sys: string;
  readonly dev: string;
  readonly proc: string;
}
export const deviceTree: DeviceTree = { sys: '/sys', dev: '/dev', proc: '/proc' };

/** Lists the cards that can capture; leaves out one that disappears meanwhile. */
export function listCards({ sys }: DeviceTree): SoundCard[] {
  const folder = join(sys, 'class/sound');
  return namesIn(folder)
    .filter((name) => /^card\d+$/.test(name))
    .flatMap((name) => readCard(join(folder, name), Number(name.slice(4))) ?? [])
    .filter((card) => card.devices.length > 0)
    .sort((a, b) => a.index - b.index);
}

/**
 * Returns the ALSA name behind a stable one: `usb:PORT`, `usb:VENDOR:PRODUCT[:SERIAL]`, both as
 * `usb:PORT,VENDOR:PRODUCT[:SERIAL]`, a path under /dev/snd/by-id or by-path, or an ALSA name with CARD=ID. Other ALSA
 * names are returned unchanged, without a card. Throws a CaptureError: `absent`, or `wrong_device` if something else is
 * in its place or two cards fit the name.
 */
export function resolveDevice(device: string, tree: DeviceTree): { pcm: string; card?: SoundCard } {
  const cards = listCards(tree);
  const one = (fitting: SoundCard[]): SoundCard => {
    const [card] = fitting;
    if (!card) throw new CaptureError('absent', `Expected the microphone ${device}, got ${describe(cards)}`, 'plug it in; tocsin devices lists what is there');
    if (fitting.length > 1)
      throw new CaptureError('wrong_device', `Expected one microphone ${device}, got ${describe(fitting)}`, 'name it by its USB port: usb:PORT');
    return card;
  };
  // of two identical cards, udev or the kernel gives the name to either by chance: it counts as fitting both
  const oneUnlike = (named: SoundCard[], make: (card: SoundCard) => string): SoundCard => {
    const card = one(named);
    return one(cards.filter((other) => make(other) === make(card)));
  };
  const opened = (card: SoundCard) => ({ pcm: `plughw:CARD=${card.id},DEV=${card.devices[0]}`, card });
  if (device.startsWith('usb:')) {
    const [, path, id, serial] = /^usb:(?:(\d+-[\d.]+))?,?(?:([0-9a-f]{4}:[0-9a-f]{4})(?::(.+))?)?$/.exec(device) ?? [];
    const sameModel = (card: SoundCard) => (!id || card.usb?.id === id) && (!serial || card.usb?.serial === serial);
    const atPort = path ? cards.filter((card) => card.usb?.path === path) : cards;
    if (path && atPort.length > 0 && !atPort.some(sameModel))
      throw new CaptureError(
        'wrong_device',
        `Expected the microphone ${device}, got ${describe(atPort)}`,
        'put the right one back, or change microphone.device',
      );
    return opened(one(atPort.filter((card) => card.usb && sameModel(card))));
  }
  if (device.startsWith('/dev/snd/')) {
    const link = join(tree.dev, device.slice('/dev/'.length));
    const target = ifPossible(() => basename(readlinkSync(link)));
    const linked = cards.filter((card) => target === `controlC${card.index}`);
    return opened(device.startsWith('/dev/snd/by-path/') ? one(linked) : oneUnlike(linked, modelOf));
  }
  const named = /CARD=([\w-]+)/.exec(device)?.[1];
  if (named && existsSync(join(tree.sys, 'class/sound')))
    return {
      pcm: device,
      card: oneUnlike(
        cards.filter(({ id }) => id === named),
        ({ id, usb }) => usb?.id ?? id,
      ),
    };
  return { pcm: device };
}

/**
 * Returns the card whose capture stream this process holds, with the sample rate and channel count of the hardware
 * (/proc/asound), which plughw converts to any other. Undefined if the process holds none directly (a sound server).
 */
export function heldBy(pid: number, tree: DeviceTree): { card: SoundCard; rate: number | undefined; channels: number | undefined } | undefined {
  for (const card of listCards(tree))
    for (const device of card.devices) {
      const folder = join(tree.proc, `asound/card${card.index}/pcm${device}c`);
      const sub = namesIn(folder).find((name) => new RegExp(`^owner_pid\\s*: ${pid}$`, 'm').test(readText(join(folder, name, 'status'))));
      if (!sub) continue;
      const parameters = readText(join(folder, sub, 'hw_params'));
      const figure = (name: string) => {
        const digits = new RegExp(`^${name}: (\\d+)`, 'm').exec(parameters)?.[1];
        return digits === undefined ? undefined : Number(digits);
      };
      return { card, rate: figure('rate'), channels: figure('channels') };
    }
  return undefined;
}

/**
 * Whether both are the same microphone, whatever its card number: at any port if it has a serial number, else at one
 * port.
 */
export function isSame(before: SoundCard, now: SoundCard): boolean {
  return modelOf(before) === modelOf(now) && (now.usb?.serial !== undefined || before.usb?.path === now.usb?.path);
}

/** Lists cards by names that need no translation; the configuration takes that of a USB microphone. */
export function describe(cards: readonly SoundCard[]): string {
  const name = ({ id, usb }: SoundCard) => (usb ? `usb:${usb.path},${usb.id}${usb.serial ? `:${usb.serial}` : ''}` : `CARD=${id}`);
  return cards.map(name).join('; ') || 'no microphone';
}

function modelOf({ id, usb }: SoundCard): string {
  return usb ? `${usb.id}:${usb.serial ?? ''}` : id;
}

function readCard(folder: string, index: number): SoundCard | undefined {
  const devices = namesIn(folder).flatMap((name) => {
    const device = /^pcmC\d+D(\d+)c$/.exec(name)?.[1];
    return device === undefined ? [] : [Number(device)];
  });
  const device = join(folder, 'device');
  const parent = dirname(ifPossible(() => realpathSync(device)) ?? device);
  const vendor = readText(join(parent, 'idVendor')).trim();
  const product = readText(join(parent, 'idProduct')).trim();
  const serial = readText(join(parent, 'serial')).trim();
  const id = readText(join(folder, 'id')).trim(); // read last: a card that has disappeared meanwhile has no id
  if (!id) return undefined;
  return { index, id, devices, ...(vendor ? { usb: { path: basename(parent), id: `${vendor}:${product}`, ...(serial ? { serial } : {}) } } : {}) };
}
