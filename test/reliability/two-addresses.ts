// Runs in its own network and mount namespaces: the name of a broker has one address that answers and one without a
// route, over a link that drops the first packet of each connection, so that a handshake takes a second. Prints for
// each attempt that it connected, or why not, as JSON.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { openMqttProbe } from '../../agent/delivery/mqtt-probe.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { messageOf } from '../../agent/lib/errors.ts';

const port = 18832;
const say = (command: string, args: string[], input?: string) => {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', input });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
};
say('ip', ['link', 'set', 'lo', 'up']);
const seen = 'set seen { type inet_service; flags dynamic; timeout 60s; }';
const rule = `type filter hook input priority 0; tcp dport ${port} tcp flags & (syn|ack) == syn tcp sport != @seen add @seen { tcp sport } drop`;
say('nft', ['-f', '-'], `table inet slow {\n${seen}\nchain arriving {\n${rule}\n}\n}\n`);
const hosts = join(mkdtempSync(join(tmpdir(), 'tocsin-hosts-')), 'hosts');
writeFileSync(hosts, '127.0.0.1 localhost\n127.0.0.2 broker.example\n2001:db8::1 broker.example\n');
say('mount', ['--bind', hosts, '/etc/hosts']);

const aedes = await Aedes.createBroker();
await new Promise<void>((done) => createServer(aedes.handle).listen(port, '127.0.0.2', done));
const signal = new AbortController().signal;
const mqtt = { url: `mqtt://broker.example:${port}`, protocol: '3.1.1', keepaliveSeconds: 60, ackTimeoutSeconds: 15 } as Parameters<typeof mqttPublisher>[0];
const attempts = {
  // first, since the later attempts change a setting of the process
  reach: () => machineProbes('', systemClock()).reach('broker.example', port, signal),
  courier: async () => (await mqttPublisher(mqtt, {}, 'courier')({ topic: 'a', payload: '{}' }, signal)).close(false),
  probe: async () => (await openMqttProbe(mqtt, {}, 'doctor', 6000)).close(),
};
const said: Record<string, string> = {};
// a machine that stalls for half a second exceeds the time of an attempt; with 250 ms each none connects
for (const [name, attempt] of Object.entries(attempts))
  for (let tries = 0; tries < 3 && said[name] !== 'connected'; tries++)
    said[name] = await attempt().then(
      () => 'connected',
      (error: unknown) => messageOf(error),
    );
console.log(JSON.stringify(said));
process.exit(0);
