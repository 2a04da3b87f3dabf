import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';

/** A real AF_UNIX datagram socket like systemd's, with the messages received and their times. */
export function openNotifySocket() {
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int, int, int)');
  const bind = libc.func('int bind(int, const void *, uint32_t)');
  const recv = libc.func('long recv(int, _Out_ void *, size_t, int)');
  const close = libc.func('int close(int)');
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-notify-')), 'socket');
  const descriptor: number = socket(1, 2 | 0o2000000, 0);
  const address = Buffer.alloc(110);
  address.writeUInt16LE(1, 0);
  address.write(path, 2);
  if (bind(descriptor, address, 2 + path.length + 1) !== 0) throw new Error(`cannot bind ${path}`);
  const messages: { text: string; atMs: number }[] = [];
  const buffer = Buffer.alloc(4096);
  const timer = setInterval(() => {
    for (let size = Number(recv(descriptor, buffer, buffer.length, 0x40)); size > 0; size = Number(recv(descriptor, buffer, buffer.length, 0x40)))
      messages.push({ text: buffer.toString('utf8', 0, size), atMs: performance.now() });
  }, 20);
  return {
    path,
    messages,
    pings: () => messages.filter((m) => m.text === 'WATCHDOG=1'),
    close() {
      clearInterval(timer);
      close(descriptor);
    },
  };
}
