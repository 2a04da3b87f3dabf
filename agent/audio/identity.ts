import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CaptureError } from './capture-error.ts';

/** A sound card as the kernel names it now. `index` changes over a reboot; the USB path, id and serial number do not. */
export interface SoundCard {
  readonly index: number;
  readonly id: string;
  /** Port, for instance 1-1.3; vendor:product, for instance 0d8c:0014. */
  readonly usb?: { readonly path: string; readonly id: string; readonly serial?: string };
  /** Capture devices of the card. */
  readonly devices: readonly number[];
}

/** Where the kernel tells of cards; the tests have a tree of their own. */
export interface DeviceTree {
  readonly sys: string;
  readonly dev: string;
  readonly proc: string;
}
export const deviceTree: DeviceTree = { sys: '/sys', dev: '/dev', proc: '/proc' };

/** The cards that can capture. */
export function listCards({ sys }: DeviceTree): SoundCard[] {
  const folder = join(sys, 'class/sound');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^card\d+$/.test(name))
    .map((name) => readCard(join(folder, name), Number(name.slice(4))))
    .filter((card) => card.devices.length > 0)
    .sort((a, b) => a.index - b.index);
}

/**
 * The ALSA name behind a stable one: `usb:PORT`, `usb:VENDOR:PRODUCT[:SERIAL]`, both as `usb:PORT,VENDOR:PRODUCT`, a path
 * under /dev/snd/by-id or by-path, or an ALSA name with CARD=ID. Other ALSA names pass as they are, without a card.
 * Throws a CaptureError: `absent`, or `wrong_device` where something else is in its place or two are alike.
 */
export function resolveDevice(device: string, tree: DeviceTree): { pcm: string; card?: SoundCard } {
  const cards = listCards(tree);
  const found = (matching: SoundCard[], pcm?: string) => {
    const [card, second] = matching;
    if (!card) throw new CaptureError('absent', `Expected the microphone ${device}, got ${describe(cards)}`, 'plug it in; tocsin devices lists what is there');
    if (second) throw new CaptureError('wrong_device', `Expected one microphone ${device}, got ${describe(matching)}`, 'name it by its USB port: usb:PORT');
    return { pcm: pcm ?? `plughw:CARD=${card.id},DEV=${card.devices[0]}`, card };
  };
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
    return found(atPort.filter((card) => card.usb && sameModel(card)));
  }
  if (device.startsWith('/dev/snd/')) {
    const link = join(tree.dev, device.slice('/dev/'.length));
    return found(cards.filter((card) => targetOf(link) === `controlC${card.index}`));
  }
  const named = /CARD=(\w+)/.exec(device)?.[1];
  if (named && existsSync(join(tree.sys, 'class/sound')))
    return found(
      cards.filter((card) => card.id === named),
      device,
    );
  return { pcm: device };
}

/** The card whose capture stream this process holds (/proc/asound), or undefined where it holds none directly (a sound server). */
export function cardHeldBy(pid: number, tree: DeviceTree): SoundCard | undefined {
  return listCards(tree).find((card) =>
    card.devices.some((device) => {
      const folder = join(tree.proc, `asound/card${card.index}/pcm${device}c`);
      if (!existsSync(folder)) return false;
      return readdirSync(folder).some((sub) => sub.startsWith('sub') && new RegExp(`owner_pid\\s*: ${pid}$`, 'm').test(readText(join(folder, sub, 'status'))));
    }),
  );
}

/** What stays the same when the same microphone comes back, under whatever number and at whatever port. */
export function modelOf(card: SoundCard): string {
  return card.usb ? `${card.usb.id}:${card.usb.serial ?? ''}` : card.id;
}

function describe(cards: readonly SoundCard[]): string {
  return cards.map((card) => (card.usb ? `usb:${card.usb.path},${card.usb.id}` : `CARD=${card.id}`)).join(' and ') || 'none';
}

function readCard(folder: string, index: number): SoundCard {
  const devices = readdirSync(folder).flatMap((name) => {
    const device = /^pcmC\d+D(\d+)c$/.exec(name)?.[1];
    return device === undefined ? [] : [Number(device)];
  });
  const id = readText(join(folder, 'id')).trim();
  const parent = existsSync(join(folder, 'device')) ? dirname(realpathSync(join(folder, 'device'))) : folder;
  const vendor = readText(join(parent, 'idVendor')).trim();
  if (!vendor) return { index, id, devices };
  const serial = readText(join(parent, 'serial')).trim();
  return { index, id, devices, usb: { path: basename(parent), id: `${vendor}:${readText(join(parent, 'idProduct')).trim()}`, ...(serial ? { serial } : {}) } };
}

function targetOf(link: string): string {
  try {
    return basename(readlinkSync(link));
  } catch {
    return '';
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
