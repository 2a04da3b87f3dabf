import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { DeviceTree } from '../../agent/audio/identity.ts';

/**
 * A tree of files like sysfs, /dev/snd and /proc/asound (read from a Linux 6.1 with a USB microphone). It cannot show
 * how long a driver takes to create them.
 */
export function cardTree() {
  const root = mkdtempSync(join(tmpdir(), 'tocsin-cards-'));
  const tree: DeviceTree = { sys: join(root, 'sys'), dev: join(root, 'dev'), proc: join(root, 'proc') };
  mkdirSync(join(tree.sys, 'class/sound'), { recursive: true });
  /** Creates a link under /dev/snd, as udev does. */
  function link(name: string, index: number): void {
    const path = join(tree.dev, 'snd', name);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    symlinkSync(`../controlC${index}`, path);
  }
  return {
    root,
    tree,
    link,
    plug(index: number, id: string, usb?: { port: string; model: string; serial?: string }, ownerPid?: number, rate?: number, channels = 1): void {
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
        link(`by-id/usb-${id}-00`, index);
      }
      symlinkSync(card, join(tree.sys, `class/sound/card${index}`));
      const status = join(tree.proc, `asound/card${index}/pcm0c/sub0`);
      mkdirSync(status, { recursive: true });
      writeFileSync(join(status, 'status'), ownerPid ? `state: RUNNING\nowner_pid   : ${ownerPid}\n` : 'closed\n');
      if (rate)
        writeFileSync(join(status, 'hw_params'), `access: MMAP_INTERLEAVED\nchannels: ${channels}\nrate: ${rate} (${rate}/1)\nperiod_size: ${rate / 8}\n`);
    },
    unplugAll(): void {
      for (const folder of [tree.sys, tree.dev, tree.proc]) rmSync(folder, { recursive: true, force: true });
      mkdirSync(join(tree.sys, 'class/sound'), { recursive: true });
    },
  };
}
