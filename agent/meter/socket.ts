// The listener's only socket. It only writes, only to programs on this machine, and only what reading.ts can express.
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import type { Logger } from '../lib/logger.ts';
import { encodeReading, type MeterReading, readingsPerSecond } from './reading.ts';

const mostClients = 4;
// Connections within restMs. After more, the socket closes until that time is over: endless connections cost nothing.
const mostConnections = 20;
const restMs = 5000;
const longestPath = 107; // bytes in an AF_UNIX address

/**
 * Opens the socket and writes `read()` to every connected client, ten times a second, while there is one. Accepts no
 * input: a client that sends is dropped. So is one that does not read, as soon as the kernel's buffer for it is full;
 * at most one message for each client waits here. If the socket or its mode cannot be had, this is logged, hearing
 * goes on without it, and a socket that cannot be had is tried again.
 *
 * @param watching called when the first client comes and when the last one has gone
 */
export function openMeterSocket(path: string, read: () => MeterReading, watching: (on: boolean) => void, logger: Logger): { close(): void } {
  const clients = new Set<Socket>();
  let timer: NodeJS.Timeout | undefined;
  let connections = 0;
  let counting: NodeJS.Timeout | undefined;
  let closed = false;
  let lacking: string | undefined; // why there is no socket, as it was logged
  let own: number | undefined; // the inode of this socket: no other file has it while the socket is open

  const server = createServer((client) => {
    if (++connections > mostConnections && server.listening) {
      closeServer();
      logger.warn({}, 'the meter socket is closed for a while: too many connections');
    }
    counting ??= setTimeout(rested, restMs).unref();
    if (clients.size >= mostClients || connections > mostConnections) return client.destroy();
    clients.add(client);
    client.on('data', () => client.destroy());
    client.on('end', () => client.destroy());
    client.on('error', () => client.destroy());
    client.on('close', () => leave(client));
    if (timer) return;
    timer = setInterval(write, 1000 / readingsPerSecond).unref();
    watching(true);
  });
  server.on('error', failed);
  server.unref();

  function write(): void {
    const message = encodeReading(read());
    for (const client of clients) {
      client.write(message);
      if (client.writableLength > 0) client.destroy();
    }
  }

  function leave(client: Socket): void {
    clients.delete(client);
    if (clients.size > 0) return;
    clearInterval(timer);
    timer = undefined;
    watching(false);
  }

  function rested(): void {
    counting = undefined;
    connections = 0;
    if (!server.listening && !closed) listen();
  }

  function failed(error: unknown): void {
    const reason = messageOf(error);
    if (reason !== lacking) logger.warn({ reason }, 'no meter socket');
    lacking = reason;
    counting ??= setTimeout(rested, restMs).unref();
  }

  function listen(): void {
    try {
      if (Buffer.byteLength(path) > longestPath) throw new Error(`${path} is longer than ${longestPath} bytes`);
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      const before = lstatSync(path, { throwIfNoEntry: false });
      if (before && !before.isSocket()) throw new Error(`${path} is no socket`);
      if (before) rmSync(path); // left by a listener that was killed
      server.listen({ path });
      own = inodeAt(path);
      if (!server.listening) return; // `failed` is told why
      lacking = undefined;
      chmodSync(path, 0o660);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Closes the server. Node then removes whatever is at its path, so the socket of another listener that has taken this
   * place is moved aside meanwhile.
   */
  function closeServer(): void {
    const there = inodeAt(path);
    const aside = server.listening && there !== undefined && there !== own ? `${path}.${process.pid}` : undefined;
    if (aside) {
      logger.warn({ path }, 'another listener has taken the place of the meter socket: each needs a meter.socket of its own');
      move(path, aside);
    }
    server.close();
    if (aside) move(aside, path);
  }

  function move(from: string, to: string): void {
    try {
      renameSync(from, to);
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the meter socket of another listener is lost');
    }
  }

  listen();
  return {
    close() {
      closed = true;
      clearTimeout(counting);
      for (const client of clients) client.destroy();
      closeServer();
    },
  };
}

function inodeAt(path: string): number | undefined {
  return ifPossible(() => lstatSync(path).ino); // where there is none, there is nothing to remove either
}
