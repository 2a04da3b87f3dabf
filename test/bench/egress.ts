// Records which hosts the agent contacts, and what it leaves behind: npm run egress -- --minutes 10 [--onnxruntime
// VERSION] [--plant NAME:PORT]. In a separate network namespace every address leads to a sink, every name resolves to
// one, and every packet that begins a connection is recorded. The environment is as bare as that of a service, since
// some telemetry is off under CI or DO_NOT_TRACK. Needs root, gcc and iproute2.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { openEmbeddedBroker } from '../support/broker.ts';
import { install } from '../support/installation.ts';

const [brokerName, brokerAddress, resolver, sink] = ['broker.sensor.test', '10.99.0.2', '10.99.0.53', '203.0.113.7'];

export interface Egress {
  readonly seconds: number;
  readonly onnxruntime: string;
  /** PROTOCOL ADDRESS:PORT of every connection begun, with its count. */
  readonly contacted: Record<string, number>;
  /** The names looked up. */
  readonly names: string[];
  /** Files left in the home folder. */
  readonly left: string[];
  /** Of the above, everything but the broker and the look-up of its name. */
  readonly unexpected: string[];
  readonly agentExit: number | null;
}

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    onnxruntime: { type: 'string' },
    plant: { type: 'string' },
    inside: { type: 'string' },
    installation: { type: 'string' },
  },
});
if (options.inside === undefined) outside();
else await inside(options.inside, options.installation ?? resolve('.'));

/** Makes the scratch folder and, for another onnxruntime, an installation with it; then enters the namespaces. */
function outside(): void {
  const scratch = mkdtempSync(join(tmpdir(), 'tocsin-egress-'));
  try {
    execFileSync('gcc', ['-O1', '-o', join(scratch, 'record-packets'), resolve('test/support/record-packets.c')]);
    let installation = resolve('.');
    if (options.onnxruntime !== undefined) {
      installation = join(scratch, 'tocsin');
      install(installation);
      const other = join(scratch, 'other');
      mkdirSync(other);
      execFileSync('npm', ['install', '--prefix', other, '--ignore-scripts', '--no-audit', '--no-fund', `onnxruntime-node@${options.onnxruntime}`]);
      for (const name of ['onnxruntime-node', 'onnxruntime-common']) {
        rmSync(join(installation, 'node_modules', name), { recursive: true });
        execFileSync('mv', [join(other, 'node_modules', name), join(installation, 'node_modules', name)]);
      }
    }
    const again = [
      process.execPath,
      import.meta.filename,
      '--minutes',
      options.minutes,
      '--inside',
      scratch,
      '--installation',
      installation,
      ...(options.plant ? ['--plant', options.plant] : []),
    ];
    const { status } = spawnSync('unshare', ['--net', '--mount', ...again], { stdio: 'inherit' });
    process.exitCode = status ?? 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function inside(scratch: string, installation: string): Promise<void> {
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  ip('link', 'set', 'lo', 'up');
  for (const address of [brokerAddress, resolver]) ip('addr', 'add', `${address}/32`, 'dev', 'lo');
  ip('route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo'); // every address is this machine
  ip('-6', 'route', 'add', 'local', '::/0', 'dev', 'lo');
  writeFileSync(join(scratch, 'resolv.conf'), `nameserver ${resolver}\n`);
  execFileSync('mount', ['--bind', join(scratch, 'resolv.conf'), '/etc/resolv.conf']);

  const names = new Set<string>();
  await openNameServer(names);
  for (const port of [80, 443])
    await new Promise<void>((done) =>
      createServer((socket) => socket.on('error', () => undefined))
        .listen(port, done) // for both address families
        .unref(),
    );
  const broker = await openEmbeddedBroker(0, '0.0.0.0');
  const brokerPort = Number(new URL(broker.url).port);
  const recorder = spawn(join(scratch, 'record-packets'), { stdio: ['ignore', 'pipe', 'inherit'] });
  let packets = '';
  await new Promise<void>((ready) => {
    recorder.stdout.setEncoding('utf8').on('data', (text: string) => {
      packets += text;
      ready();
    });
  });

  const home = join(scratch, 'home');
  mkdirSync(home);
  const sound = join(scratch, 'scene.wav');
  writeFileSync(sound, wavFile(repeated(synthesiseScene(), Number(options.minutes) * 60 * 16_000), 16_000));
  const config = {
    ...{ site: 'test', sensor: 'post-1', microphone: { adapter: 'file', file: sound, sampleRateHz: 16_000 }, health: { intervalSeconds: 10 } },
    ...{ outbox: { path: join(scratch, 'outbox.db') }, log: { level: 'warn' } },
    mqtt: { url: `mqtt://${brokerName}:${brokerPort}`, allowPlaintext: true, protocol: '3.1.1' },
  };
  writeFileSync(join(scratch, 'tocsin.yaml'), stringify(config));
  // a dependency that calls home, to check that it would be detected
  const planted = options.plant ? { NODE_OPTIONS: `--import=${pathToFileURL(resolve('test/support/plant-call.ts'))}`, HOME_ADDRESS: options.plant } : {};
  const agent = spawn(process.execPath, [join(installation, 'agent/main.ts'), 'run', '-c', join(scratch, 'tocsin.yaml')], {
    env: { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: join(home, '.cache'), ...planted },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const began = performance.now();
  const agentExit = await new Promise<number | null>((done) => agent.once('close', done));
  recorder.kill();
  await broker.close();

  const contacted = new Map<string, number>();
  for (const line of packets.split('\n')) {
    const [protocol, source, sourcePort, destination, port] = line.split(' ');
    if (port === undefined || (source === resolver && sourcePort === '53')) continue; // answers
    const what = `${protocol} ${destination}:${port}`;
    contacted.set(what, (contacted.get(what) ?? 0) + 1);
  }
  const expected = new Set([`tcp ${brokerAddress}:${brokerPort}`, `udp ${resolver}:53`]);
  const left = globSync('**', { cwd: home }).filter((name) => name !== '.');
  const result: Egress = {
    seconds: Math.round((performance.now() - began) / 1000),
    onnxruntime: JSON.parse(execFileSync('cat', [join(installation, 'node_modules/onnxruntime-node/package.json')], { encoding: 'utf8' })).version,
    contacted: Object.fromEntries(contacted),
    names: [...names],
    left,
    unexpected: [
      ...[...contacted.keys()].filter((what) => !expected.has(what)),
      ...[...names].filter((name) => name !== brokerName).map((name) => `name ${name}`),
      ...left.map((name) => `file ${name}`),
      ...(contacted.has(`tcp ${brokerAddress}:${brokerPort}`) ? [] : ['the broker was not contacted']),
    ],
    agentExit,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exit(result.unexpected.length > 0 || agentExit !== 0 ? 1 : 0);
}

/** Answers every question for an IPv4 address, and no other. */
async function openNameServer(names: Set<string>): Promise<void> {
  const server = createSocket('udp4');
  server.on('message', (question, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
      labels.push(question.toString('latin1', at + 1, at + 1 + length));
      at += length + 1;
    }
    const name = labels.join('.').toLowerCase();
    names.add(name);
    const wantsAddress = question.readUInt16BE(at + 1) === 1;
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...(name === brokerName ? brokerAddress : sink).split('.').map(Number)]);
    const reply = Buffer.concat([question.subarray(0, at + 5), ...(wantsAddress ? [answer] : [])]);
    reply.writeUInt16BE(0x8180, 2);
    reply.writeUInt16BE(wantsAddress ? 1 : 0, 6);
    reply.writeUInt32BE(0, 8);
    server.send(reply, from.port, from.address);
  });
  await new Promise<void>((done) => server.bind(53, resolver, done));
  server.unref();
}

function repeated(scene: Int16Array, samples: number): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) => scene[i % scene.length] as number);
}
