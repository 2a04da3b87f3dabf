import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { deviceTree, listCards, type SoundCard } from '../audio/identity.ts';
import { AudioError, messageOf } from '../lib/errors.ts';
import { print, printJson } from './output.ts';
import { addCommand } from './program.ts';

/** devices: what microphone.device may be set to, by names that survive a reboot. Opens none of them. */
export function addDevices(program: Command): void {
  addCommand(program, 'devices', 'list the microphones that can be opened', ['tocsin devices', 'tocsin devices --json'])
    .option('--json', 'one JSON object a line: device, description')
    .action(async (options: { json?: true }) => {
      const { stdout } = await promisify(execFile)('arecord', ['-L']).catch((cause: unknown) => {
        throw new AudioError(`Expected arecord to list devices, got: ${messageOf(cause)}`, 'apt install alsa-utils', { cause });
      });
      for (const device of [...usbDevices(listCards(deviceTree)), ...parseDevices(stdout)]) {
        if (options.json) printJson(device);
        else print(`${device.device.padEnd(40)} ${device.description}`);
      }
    });
}

/** USB microphones by port and model: the name that binds one microphone. */
export function usbDevices(cards: readonly SoundCard[]): { device: string; description: string }[] {
  return cards.flatMap(({ id, usb }) =>
    usb ? [{ device: `usb:${usb.path},${usb.id}`, description: `${id}${usb.serial ? `, serial ${usb.serial}` : ''}` }] : [],
  );
}

/** The output of `arecord -L`: a name at the margin, its description indented under it. Index-based names are left out. */
export function parseDevices(listing: string): { device: string; description: string }[] {
  const devices: { device: string; description: string }[] = [];
  for (const line of listing.split('\n')) {
    if (/^\S/.test(line)) devices.push({ device: line.trim(), description: '' });
    else if (line.trim()) {
      const last = devices.at(-1);
      if (last && !last.description) last.description = line.trim();
    }
  }
  return devices.filter(({ device }) => device !== 'null' && !/^\w+:\d/.test(device));
}
