import { existsSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { ifPossible } from './if-possible.ts';
import { namesIn, readText } from './kernel-files.ts';
import { tenth } from './rounding.ts';

type Occurrence = 'no' | 'earlier' | 'now';

export interface BoardFacts {
  temperatureCelsius?: number;
  throttled?: Occurrence;
  underVoltage?: Occurrence;
  freeDiskMegabytes?: number;
}

/** The highest temperature in /sys/class/thermal, in degrees Celsius to a tenth; undefined if there is none. */
export function boardTemperature(sys = '/sys'): number | undefined {
  const zones = namesIn(join(sys, 'class/thermal')).filter((name) => name.startsWith('thermal_zone'));
  const degrees = zones
    .map((zone) => Number.parseInt(readText(join(sys, 'class/thermal', zone, 'temp')), 10) / 1000)
    .filter((value) => value > -60 && value < 200);
  return degrees.length > 0 ? tenth(Math.max(...degrees)) : undefined;
}

/**
 * Returns what the board reports, and leaves out what it does not: its temperature, the Raspberry Pi firmware's
 * get_throttled (bits 0 to 3: under-voltage, frequency capped, throttled, soft temperature limit; 16 to 19: the same
 * since boot; Raspberry Pi documentation, vcgencmd) and the free space of the file system that holds `folder`.
 */
export function readBoard(folder: string, sys = '/sys'): BoardFacts {
  const facts: BoardFacts = {};
  const temperatureCelsius = boardTemperature(sys);
  if (temperatureCelsius !== undefined) facts.temperatureCelsius = temperatureCelsius;
  const bits = Number.parseInt(readText(throttledFile(sys)), 16);
  if (!Number.isNaN(bits)) {
    const occurrence = (mask: number): Occurrence => ((bits & mask) !== 0 ? 'now' : (bits & (mask << 16)) !== 0 ? 'earlier' : 'no');
    facts.throttled = occurrence(0b1110);
    facts.underVoltage = occurrence(0b0001);
  }
  const disk = ifPossible(() => statfsSync(folder));
  if (disk) facts.freeDiskMegabytes = Math.min(1e9, Math.round((disk.bavail * disk.bsize) / 1e6));
  return facts;
}

/**
 * The file in which the Raspberry Pi's firmware reports whether the board was slowed down. The folder is named after
 * the device tree's node: soc/soc:firmware up to the Pi 4. On the Pi 5 `soc` is soc@107c000000, and the folder is in it
 * or beside it. Kernels without the file report nothing.
 */
export function throttledFile(sys = '/sys'): string {
  const platform = join(sys, 'devices/platform');
  const buses = namesIn(platform).filter((name) => name.startsWith('soc'));
  const below = buses.flatMap((bus) => namesIn(join(platform, bus)).map((name) => join(bus, name)));
  const firmware = [...buses, ...below].filter((path) => /(^|\/)soc[^/]*:firmware$/.test(path)).map((path) => join(platform, path, 'get_throttled'));
  return firmware.find((path) => existsSync(path)) ?? join(platform, 'soc/soc:firmware/get_throttled');
}
