import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { deviceTree, listCards, type SoundCard } from '../audio/identity.ts';
import { loadConfig } from '../config/load-config.ts';
import { printableLine } from '../config/problems.ts';
import { AudioError, hasCode, messageOf } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { addCommand, configOption } from './command.ts';
import { print, printJson, screenOf, wrap } from './output.ts';
import type { Translate } from './translate.ts';

/** devices: what microphone.device may be set to, by names that survive a reboot. Opens none of them. */
export function addDevices(program: Command, t: Translate): void {
  addCommand(program, 'devices', 'list the microphones that can be opened', ['tocsin devices', 'tocsin devices --json'])
    .addOption(configOption())
    .option('--json', 'one JSON object a line: device, description')
    .action(async (options: { config: string; json?: true }) => {
      const { stdout } = await promisify(execFile)('arecord', ['-L']).catch((cause: unknown) => {
        throw new AudioError(
          `Expected arecord to list devices, got: ${messageOf(cause).trim()}`,
          hasCode(cause, /^ENOENT$/) ? 'sudo apt install alsa-utils' : 'arecord -L by hand shows the same',
          { cause },
        );
      });
      const cards = listCards(deviceTree);
      const listed = [...usbDevices(cards), ...parseDevices(stdout)];
      const devices = listed.filter(({ device }) => isMicrophone(device));
      if (options.json) return devices.forEach(printJson);
      const { columns, colours } = screenOf(process.stdout);
      const configured = ifPossible(() => loadConfig(options.config).microphone.device); // asked for before there is a configuration too
      for (const { device, description } of devices) {
        const marks = [device === configured && t('devices.configured'), bindsBest(device, cards) && t('devices.best')].filter(Boolean);
        print(`${colours.bold(printableLine(device))}${marks.length > 0 ? colours.green(`  (${marks.join(', ')})`) : ''}`);
        if (description) print(`    ${wrap(printableLine(description), columns, 4)}`);
      }
      const others = listed.filter(({ device }) => !isMicrophone(device)).map(({ device }) => device);
      if (others.length > 0) print(colours.dim(`\n${wrap(t('devices.others', { names: others.join(', ') }), columns)}`));
      const card = devices.some(({ device }) => isCard(device));
      print(`\n${card ? wrap(t('devices.use'), columns) : colours.yellow(wrap(t('devices.noCard'), columns))}`);
    });
}

/** A card, or a sound server; the rest are plug-ins of ALSA that need one of these below them. */
function isMicrophone(device: string): boolean {
  return isCard(device) || ['default', 'pulse', 'pipewire'].includes(device);
}

const isCard = (device: string) => /^usb:|CARD=/.test(device);

/** A USB microphone by its port; of the others, which are part of the board, the card's id stays the same. */
export function bindsBest(device: string, cards: readonly SoundCard[]): boolean {
  return device.startsWith('usb:') || (device.startsWith('plughw:CARD=') && !cards.some(({ id, usb }) => usb && device.startsWith(`plughw:CARD=${id},`)));
}

/** USB microphones by port and model: the name that binds one microphone. */
export function usbDevices(cards: readonly SoundCard[]): { device: string; description: string }[] {
  return cards.flatMap(({ id, usb }) =>
    usb ? [{ device: `usb:${usb.path},${usb.id}`, description: `${id}${usb.serial ? `, serial ${usb.serial}` : ''}` }] : [],
  );
}

/**
 * The output of `arecord -L`: a name at the margin, its description indented under it. Index-based names are left out.
 */
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
