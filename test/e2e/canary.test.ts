import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openResampler } from '../../agent/audio/resample.ts';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { openAudioSearch } from '../support/audio-search.ts';
import { missing, openEmbeddedBroker } from '../support/broker.ts';
import { openMessages } from '../support/messages.ts';
import { openStreet } from '../support/pulse.ts';
import { seededRandom } from '../support/random.ts';
import { readTrace, type SocketCall, tracedCalls, type Write } from '../support/traced-writes.ts';

const rate = 48_000;
const random = seededRandom(23);
/** Half a second of noise whose samples occur nowhere else. */
const canary = Int16Array.from({ length: rate / 2 }, () => (random() - 0.5) * 12_000);
const asFloats = Float32Array.from(canary, (sample) => sample / 32768);

/** The sound that is played: the canary, then the breaking glass of the demo scene. */
function playedSound(): Int16Array {
  const scene = synthesiseScene().subarray(10 * 16_000, 14 * 16_000);
  const glass = Int16Array.from({ length: scene.length * 3 }, (_, i) => scene[Math.floor(i / 3)] ?? 0);
  const sound = new Int16Array(canary.length + rate / 2 + glass.length);
  sound.set(canary);
  sound.set(glass, canary.length + rate / 2);
  return sound;
}

/**
 * The canary as the microphone gives it, in both channels and in one, and as the model receives it: the capture may
 * begin at any of three phases.
 */
function versions(): Float32Array[] {
  const both = Float32Array.from({ length: 2 * asFloats.length }, (_, i) => asFloats[i >> 1] as number);
  return [both, asFloats, ...[0, 1, 2].map((phase) => openResampler(rate, 16_000).push(asFloats.slice(phase)))];
}

const without = missing('pulseaudio', 'paplay', 'arecord', 'strace');
describe.skipIf(without)(`a canary in the sound${without ? ` (left out: ${without})` : ''}`, () => {
  const search = openAudioSearch(versions());
  const seconds = 10; // creating the outbox writes some 60 kB, which must be a small part of the sound
  let street: Awaited<ReturnType<typeof openStreet>>;
  beforeAll(async () => {
    street = await openStreet();
    writeFileSync(join(street.home, 'canary.wav'), wavFile(playedSound(), rate));
  });
  afterAll(() => street.close());

  /**
   * Runs the agent under strace on a real capture chain that repeats the canary. Returns everything that it wrote and
   * sent.
   */
  async function traced(plant: Record<string, string> = {}, preload = 'plant-recording.ts') {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-canary-'));
    const data = join(folder, 'data');
    mkdirSync(data);
    const broker = await openEmbeddedBroker();
    const seen = await openMessages(broker.url);
    const config = join(folder, 'tocsin.yaml');
    const microphone = { device: 'pulse', silenceTimeoutSeconds: 60 };
    const settings = {
      site: 'test',
      sensor: 'post-1',
      microphone,
      outbox: { path: join(data, 'outbox.db') },
      log: { level: 'debug' },
      health: { intervalSeconds: 5 },
    };
    writeFileSync(config, stringify({ ...settings, mqtt: { url: broker.url, protocol: '3.1.1' } }));
    const trace = join(folder, 'trace');
    const planted =
      Object.keys(plant).length > 0
        ? { RECORDING: join(data, 'recording'), NODE_OPTIONS: `--import=${pathToFileURL(resolve('test/support', preload))}`, ...plant }
        : {};
    const stop = street.play(join(street.home, 'canary.wav'));
    onTestFinished(stop); // two players at once would be another sound
    const agent = spawn(
      'strace',
      ['-D', '-f', '-y', '-xx', '-s', '10000000', '-e', `trace=${tracedCalls}`, '-o', trace, process.execPath, 'agent/main.ts', 'run', '-c', config],
      { env: { ...street.env, DEBUG: '*', ...planted }, stdio: 'ignore' }, // a setting for which dependencies would log in detail
    );
    const gone = new Promise((done) => agent.once('close', done));
    await seen.until(() => seen.events().some((e) => e.data.label === 'glass_break'));
    const shown: Buffer[] = [];
    const meter = connect(join(data, 'meter.sock')).on('data', (bytes) => shown.push(bytes)); // a client watches the meter meanwhile
    await new Promise((done) => setTimeout(done, seconds * 1000)); // at least this much sound is heard
    meter.destroy();
    agent.kill('SIGTERM'); // with -D the tracer is the child of the agent, which ends first
    await gone;
    const ended = new RegExp(`^${agent.pid} +\\+\\+\\+ exited`, 'm'); // strace pads short numbers
    while (!ended.test(readFileSync(trace, 'latin1').slice(-4000))) await new Promise((done) => setTimeout(done, 50));
    await seen.close();
    await broker.close();
    const files = readdirSync(data).map((name) => [name, readFileSync(join(data, name))] as const);
    return { ...readTrace(trace), shown: Buffer.concat(shown), files, messages: seen.messages, broker: broker.url.replace('mqtt://', '') };
  }

  let plain: ReturnType<typeof traced> | undefined;
  /** One run without a plant, for the tests that look at different sides of it. */
  const unplanted = () => {
    plain ??= traced();
    return plain;
  };

  /** Calls on internet families, or that listen, except the courier's to the broker and the meter's socket. */
  const strangers = (sockets: SocketCall[], broker: string) => {
    const isMeter = ({ program, call, family, address }: SocketCall) =>
      program === 'node listen' && call === 'bind' && family === 'AF_UNIX' && address?.endsWith('/meter.sock');
    const meter = sockets.find(isMeter)?.descriptor;
    return sockets.filter(
      ({ program, call, family, address, descriptor }) =>
        (call === 'listen' && (program !== 'node listen' || descriptor === undefined || descriptor !== meter)) ||
        (/^AF_(INET6?|PACKET|VSOCK)$/.test(family) && (program !== 'node deliver' || call === 'bind' || (call === 'connect' && address !== broker))),
    );
  };

  const isSound = ({ program, to }: Write) => program === 'arecord' && /^(socket|pipe|UNIX)/.test(to);

  test('passes through a real capture chain and is in nothing that was written or sent', async () => {
    const { writes, files, messages, shown } = await unplanted();
    // the chain carried it exactly: from arecord to the listener, and nowhere else
    expect(search.in(Buffer.concat(writes.filter(isSound).map((w) => w.bytes)))).toContain('int16 little-endian');
    expect(writes.filter((w) => w.program === 'arecord' && w.to.startsWith('/') && w.to !== '/dev/null')).toEqual([]);

    const rest = writes.filter((w) => !isSound(w));
    const places = Map.groupBy(rest, (w) => w.to);
    for (const [to, parts] of places) expect(search.in(Buffer.concat(parts.map((w) => w.bytes))), to).toEqual([]);
    expect(shown.length).toBeGreaterThan(seconds * 400);
    expect(search.in(shown)).toEqual([]);
    for (const [name, bytes] of files) expect(search.in(bytes), name).toEqual([]);
    for (const { topic, text } of messages) expect(search.in(Buffer.from(text)), topic).toEqual([]);

    // nor could it be hidden: the ballast is zeros, and the rest, including the creation of the outbox, is a small
    // part of the sound
    const counted = rest.filter((w) => !w.to.endsWith('.ballast') && !w.to.startsWith('anon_inode') && !w.to.startsWith('pipe'));
    const bytes = counted.reduce((sum, w) => sum + w.bytes.length, 0);
    const sound = writes.filter(isSound).reduce((sum, w) => sum + w.bytes.length, 0);
    process.stdout.write(`canary: ${JSON.stringify({ bytesOfSound: sound, bytesWrittenAndSent: bytes, places: places.size, events: messages.length })}\n`);
    expect(bytes).toBeLessThan(sound / 8);
    // the network gets what the platform received plus MQTT framing; the log gets some lines
    const sizeOf = (some: Write[]) => some.reduce((sum, w) => sum + w.bytes.length, 0);
    const received = messages.reduce((sum, { topic, text }) => sum + Buffer.byteLength(topic) + Buffer.byteLength(text), 0);
    const sent = sizeOf(rest.filter((w) => w.program === 'node deliver' && w.to.startsWith('socket')));
    expect(sent).toBeGreaterThanOrEqual(received);
    expect(sent).toBeLessThan(received + 1000);
    expect(sizeOf(rest.filter((w) => w.to === '/dev/null'))).toBeLessThan(2000);
    for (const w of rest.filter((w) => w.to.endsWith('.ballast'))) expect(w.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test('the agent contacts only the broker, nothing listens on a network, and the listener opens no internet socket', async () => {
    const { sockets, writes, broker } = await unplanted();
    const internet = sockets.filter((s) => s.family.startsWith('AF_INET'));
    expect(internet.filter((s) => s.program === 'node deliver' && s.call === 'connect').map((s) => s.address)).toContain(broker);
    expect(strangers(sockets, broker)).toEqual([]);
    expect(writes.some((w) => w.program === 'node listen')).toBe(true); // it was traced as well
  });

  test('a planted connection from either process is detected', async () => {
    const { sockets, broker } = await traced({ HOME_ADDRESS: '127.0.0.2:443' }, 'plant-call.ts');
    expect(new Set(strangers(sockets, broker).map((s) => s.program))).toEqual(new Set(['node listen', 'node deliver', 'node']));
  });

  test.each(['float32', 'base64'])('a planted recording of the canary as %s is detected', async (form) => {
    const { writes, files } = await traced({ RECORDING_FORM: form });
    const name = form === 'base64' ? 'float32 in base64' : form;
    expect(search.in(Buffer.concat(writes.filter((w) => w.to.endsWith('/recording')).map((w) => w.bytes)))).toContain(name);
    expect(search.in(files.find(([file]) => file === 'recording')?.[1] ?? Buffer.alloc(0))).toContain(name);
  });
});
