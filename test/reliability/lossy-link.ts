// Runs in its own network namespace: drops 20 % of the packets to and from a broker port, delivers events over it
// with the real courier and prints the result as JSON: lossy-link.ts EVENTS
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { openMosquitto } from '../support/broker.ts';
import { openMessages } from '../support/messages.ts';
import { limits, longKept, recordedEvent } from '../support/samples.ts';

const events = Number(process.argv[2] ?? 300);
const [lossyPort, cleanPort] = [18830, 18831];
const say = (command: string, args: string[], input?: string) => {
  const { status, stderr, stdout } = spawnSync(command, args, { encoding: 'utf8', input });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
};
say('ip', ['link', 'set', 'lo', 'up']);
const lose = (end: string) => [`tcp ${end} ${lossyPort} counter name seen`, `tcp ${end} ${lossyPort} numgen random mod 100 < 20 counter name lost drop`];
const chain = ['type filter hook input priority 0', ...lose('dport'), ...lose('sport')];
const rules = `table inet lossy {\ncounter seen { }\ncounter lost { }\nchain arriving {\n${chain.join('\n')}\n}\n}\n`;
say('nft', ['-f', '-'], rules);

const folder = mkdtempSync(join(tmpdir(), 'tocsin-lossy-'));
const broker = await openMosquitto(folder, lossyPort, undefined, ['allow_anonymous true', `listener ${cleanPort} 127.0.0.1`]);
const seen = await openMessages(`mqtt://127.0.0.1:${cleanPort}`);
const path = join(folder, 'outbox.db');
const outbox = openSqliteOutbox(path, limits);
const config = join(folder, 'tocsin.yaml');
writeFileSync(
  config,
  stringify({ site: 'a', sensor: 'b', outbox: { path, ...longKept }, mqtt: { url: `mqtt://127.0.0.1:${lossyPort}` }, log: { level: 'error' } }),
);
for (let i = 0; i < events; i++) outbox.append(recordedEvent(i)); // before the courier runs: fresh events may overtake others
const courier = spawn(process.execPath, ['agent/main.ts', 'deliver', '-c', config], { stdio: 'inherit' });
const ids = () => new Set(seen.events().map((e) => e.id));
await seen.until(() => ids().size === events);
const gone = new Promise((done) => courier.once('close', done));
courier.kill('SIGTERM');
await gone;
const births = seen.messages.filter((m) => m.topic.endsWith('/status') && JSON.parse(m.text).state === 'online').length;
const packets = (name: string) => Number(/packets (\d+)/.exec(say('nft', ['list', 'counter', 'inet', 'lossy', name]))?.[1]);
const first = [...new Map(seen.events().map((e) => [e.id, e.data.sequence as number])).values()];
const inOrder = first.every((sequence, i) => sequence === i + 1);
const { sent } = outbox.fates();
console.log(
  JSON.stringify({ events, received: seen.events().length, distinct: ids().size, inOrder, sent, births, packets: packets('seen'), lost: packets('lost') }),
);
await seen.close();
await broker.close();
process.exit(0);
