// What the courier costs on a mobile link: node test/bench/traffic.ts. The real courier and mosquitto over TLS with
// certificates (P-256), in a network namespace of their own, whose interface counts bytes with all headers of IP and
// TCP. Nobody subscribes, which changes nothing for the sensor. Needs root, mosquitto, openssl and iproute2.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { systemClock } from '../../agent/lib/clock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, openMosquitto } from '../support/broker.ts';
import { openAuthority } from '../support/certificates.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { hearingRecord, hourSummary, limits, recordedEvent } from '../support/samples.ts';

const times = 10;
if (process.argv[2] === 'inside') await inside();
else process.exitCode = spawnSync('unshare', ['--net', process.execPath, import.meta.filename, 'inside'], { stdio: 'inherit' }).status ?? 1;

/** Bytes on the wire so far, in both directions; the interface counts a header of Ethernet with each packet. */
function sent(): number {
  const [bytes = 0, packets = 0] = (/lo:(.*)/.exec(readFileSync('/proc/net/dev', 'utf8'))?.[1] ?? '').trim().split(/ +/).map(Number);
  return bytes - 14 * packets;
}

/** Connections begun so far. */
function connections(): number {
  const [names = '', values = ''] = readFileSync('/proc/net/snmp', 'utf8').match(/^Tcp:.*$/gm) ?? [];
  return Number(values.split(' ')[names.split(' ').indexOf('ActiveOpens')]);
}

/** Bytes until nothing more comes for two seconds, after something came. */
async function settled(before: number): Promise<number> {
  for (let last = before; ; last = sent()) {
    await delay(2000);
    if (sent() === last && last !== before) return last - before;
  }
}

async function inside(): Promise<void> {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  oneFolderForThisCommand();
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-traffic-'));
  const authority = openAuthority(folder, 'authority');
  const [own, other] = [authority.issue('post-1', 30), authority.issue('localhost', 30)];
  const lines = [`cafile ${authority.ca}`, `certfile ${other.cert}`, `keyfile ${other.key}`, 'require_certificate true', 'use_identity_as_username true'];
  const port = await freePort();
  const broker = await openMosquitto(folder, port, undefined, lines);
  const path = join(folder, 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  let index = 0;
  const { bootId, monotonicMs } = systemClock();
  const report = () =>
    outbox.writeHearing(hearingRecord({ bootId, sinceMonotonicMs: monotonicMs() - 100_000, writtenMonotonicMs: monotonicMs(), listenedSeconds: ++index }));
  report();

  const mqtt = { url: `mqtts://localhost:${port}`, caFile: authority.ca, certFile: own.cert, keyFile: own.key, requireSubscriber: false };
  function start(change: object) {
    const config = join(folder, 'tocsin.yaml');
    writeFileSync(config, stringify({ site: 'old-port', sensor: 'post-1', outbox: { path }, mqtt: { ...mqtt, ...change } }));
    const child = spawn(process.execPath, ['agent/main.ts', 'deliver', '-c', config], { stdio: ['ignore', 'ignore', 'inherit'] });
    return async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    };
  }
  async function courier(keepaliveSeconds: number) {
    const before = sent();
    const end = start({ keepaliveSeconds });
    return { connection: await settled(before), end };
  }
  async function eachRefused(change: object): Promise<number> {
    const [before, opened] = [sent(), connections()];
    const end = start(change);
    while (connections() - opened < times / 2) await delay(100);
    await end();
    return Math.round((sent() - before) / (connections() - opened));
  }
  async function each(action: (i: number) => void): Promise<number> {
    let bytes = 0;
    for (let i = 0; i < times; i++) {
      const before = sent();
      action(i);
      bytes += await settled(before);
    }
    return Math.round(bytes / times);
  }

  const { connection, end } = await courier(1200);
  const event = await each((i) => outbox.append(recordedEvent(i)));
  const health = await each(report);
  const summary = await each(() => outbox.writeSummary(hourSummary({ bootId })));
  await end();
  const idle = await courier(5);
  const ping = await each(() => {}); // the next one, each five seconds
  await idle.end();
  const stranger = openAuthority(folder, 'stranger').issue('post-1', 31);
  const certificateRefused = await eachRefused({ certFile: stranger.cert, keyFile: stranger.key });
  const brokerUntrusted = await eachRefused({ caFile: join(folder, 'stranger.pem') });
  outbox.close();
  await broker.close();
  const day = 1440 * ping + 72 * health + 24 * summary;
  console.log(
    JSON.stringify(
      {
        connection,
        event,
        health,
        summary,
        ping,
        certificateRefused,
        brokerUntrusted,
        idleMegabytesAMonth: Math.round((30 * day) / 1e4) / 100,
        eventsAMegabyte: Math.round(1e6 / event),
      },
      null,
      2,
    ),
  );
}
