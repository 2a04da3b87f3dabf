import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';

export interface Broker {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * An embedded broker. It supports only MQTT 3.1.1 and no access control; tests with mosquitto cover MQTT 5 and
 * refusals.
 */
export async function openEmbeddedBroker(port = 0, host = '127.0.0.1'): Promise<Broker> {
  const aedes = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)));
    aedes.handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address() as { port: number };
  return {
    url: `mqtt://127.0.0.1:${address.port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => aedes.close(resolve));
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A real mosquitto on 127.0.0.1. `extra` are configuration lines that follow the listener. */
export async function openMosquitto(folder: string, port: number, acl?: string, extra: readonly string[] = ['allow_anonymous true']): Promise<Broker> {
  const lines = [`listener ${port} 127.0.0.1`, `user ${userInfo().username}`, 'persistence false', ...extra];
  if (acl) {
    writeFileSync(join(folder, 'acl'), acl, { mode: 0o644 });
    lines.push(`acl_file ${join(folder, 'acl')}`);
  }
  writeFileSync(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`, { mode: 0o644 });
  return { url: `mqtt://127.0.0.1:${port}`, close: await startMosquitto(join(folder, 'mosquitto.conf')) };
}

/** Starts mosquitto with a configuration file; resolves once it runs, with what stops it. */
export async function startMosquitto(path: string): Promise<() => Promise<void>> {
  const child = spawn('mosquitto', ['-c', path], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said += text;
      if (said.includes('running')) resolve();
    });
    child.on('exit', (code) => reject(new Error(`mosquitto ended with ${code}: ${said}`)));
  });
  return async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  };
}

const given = new Set<number>();

/**
 * Returns a port that was free a moment ago, another one each time. It is below the ports of outgoing connections and in
 * a range of this test process alone, so that a restarted broker finds its port free.
 */
export async function freePort(): Promise<number> {
  const range = 2000;
  const first = 20_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % 6) * range;
  for (;;) {
    const port = first + randomInt(range);
    if (given.has(port)) continue;
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
    if (!free) continue;
    given.add(port);
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** The reason why a suite that needs these commands is left out, or undefined if all are installed. */
export function missing(...commands: string[]): string | undefined {
  const absent = commands.filter((name) => spawnSync('sh', ['-c', `PATH="$PATH:/usr/sbin" command -v ${name}`]).status !== 0);
  return absent.length > 0 ? `needs ${absent.join(', ')}, not installed here` : undefined;
}
