import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { sampleRate, selftestSeconds, selftestSounds, synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { type Broker, freePort, missing, openMosquitto } from '../support/broker.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { openMessages } from '../support/messages.ts';
import { validatorOf } from '../support/published-schema.ts';
import { openStreet } from '../support/pulse.ts';
import { limits } from '../support/samples.ts';

const without = missing('mosquitto');
const folder = mkdtempSync(join(tmpdir(), 'tocsin-selftest-'));
const topic = 'tocsin/v1/test/post-1/selftest';
const valid = validatorOf('selftest');

function writeConfig(url: string, change: object = {}, mqtt: object = {}): string {
  const home = mkdtempSync(join(folder, 'sensor-'));
  const path = join(home, 'tocsin.yaml');
  const config = { site: 'test', sensor: 'post-1', outbox: { path: join(home, 'outbox.db') }, ...change };
  writeFileSync(path, stringify({ ...config, mqtt: { url, ackTimeoutSeconds: 3, ...mqtt } }));
  return path;
}

async function selftest(args: string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, ['agent/main.ts', 'selftest', '--json', ...args], { env });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const status = await new Promise<number | null>((done) => child.once('close', done));
  return { status, err, result: (out ? JSON.parse(out) : undefined) as { ok: boolean; brokeAt?: string; reason?: string; try?: string; latencyMs: object } };
}

test('deploy/selftest.wav matches the output of the synthesis script', () => {
  expect(readFileSync('deploy/selftest.wav').equals(wavFile(synthesiseScene(selftestSounds, selftestSeconds), sampleRate))).toBe(true);
});

describe.skipIf(without)(`selftest against mosquitto${without ? ` (left out: ${without})` : ''}`, () => {
  const brokers: Broker[] = [];
  const start = async (acl?: string) => {
    const broker = await openMosquitto(mkdtempSync(join(folder, 'broker-')), await freePort(), acl);
    brokers.push(broker);
    return broker.url;
  };
  let url = '';
  beforeAll(async () => {
    url = await start();
  });
  afterAll(async () => {
    for (const broker of brokers) await broker.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('the event comes back and matches the schema, only the selftest topic is used, and no file is left', async () => {
    const seen = await openMessages(url);
    const path = writeConfig(url);
    const { status, result } = await selftest(['-c', path]);
    expect(status).toBe(0);
    expect(result).toMatchObject({ ok: true, label: 'glass_break' });
    expect(Object.keys(result.latencyMs)).toEqual(['heard', 'stored', 'accepted', 'returned']);
    await seen.until(() => seen.messages.length > 0);
    expect(seen.messages.map((message) => message.topic)).toEqual([topic]);
    const [message] = seen.messages;
    expect(valid(JSON.parse(message?.text ?? '')), JSON.stringify(valid.errors)).toBe(true);
    expect(readdirSync(join(path, '..'))).toEqual(['tocsin.yaml']);
    process.stdout.write(`selftest: ${JSON.stringify(result)}\n`);
    await seen.close();
  });

  test('a calibrated sensor reports the sound pressure level of the test sound', async () => {
    const seen = await openMessages(url);
    const levelOf = async (microphone: object) => {
      const before = seen.messages.length;
      expect((await selftest(['-c', writeConfig(url, { microphone })])).status).toBe(0);
      await seen.until(() => seen.messages.length > before);
      return JSON.parse(seen.messages.at(-1)?.text ?? '').event.data.soundPressureLevelDb;
    };
    const level = await levelOf({ splAtFullScaleDb: 120 });
    expect(level).toBeGreaterThan(90);
    expect(level).toBeLessThan(120);
    expect(await levelOf({})).toBeUndefined();
    await seen.close();
  });

  const deafModel = () => {
    const copy = join(mkdtempSync(join(folder, 'model-')), 'street');
    cpSync('models/street', copy, { recursive: true });
    rmSync(join(copy, 'model.onnx'));
    return copy;
  };
  const damaged = () => {
    const path = writeConfig(url);
    const outbox = join(path, '..', 'outbox.db');
    openSqliteOutbox(outbox, limits).close();
    writeFileSync(outbox, readFileSync(outbox).fill(0x55, 1024, 8192));
    return path;
  };
  test.each<[string, () => Promise<string> | string, string[], string, number, RegExp]>([
    ['an absent microphone', () => writeConfig(url, { microphone: { device: 'plughw:CARD=Nowhere' } }), ['--ask'], 'microphone', 4, /No such|ENOENT/],
    ['a model without its file', () => writeConfig(url, { model: { path: deafModel() } }), [], 'model', 5, /Expected model.onnx/],
    [
      'a model that recognises nothing',
      () => writeConfig(url, { model: { open: { glass_break: 1, shout: 1, bang: 1 } } }),
      [],
      'model',
      5,
      /nothing was recognised; check model.open/,
    ],
    ['a missing outbox folder', () => writeConfig(url, { outbox: { path: join(folder, 'nowhere', 'outbox.db') } }), [], 'outbox', 6, /does not exist/],
    ['a damaged outbox', damaged, [], 'outbox', 6, /cannot be read \(/],
    ['an absent broker', async () => writeConfig(`mqtt://127.0.0.1:${await freePort()}`), [], 'broker', 7, /cannot be reached/],
    [
      'an invalid certificate authority',
      () => writeConfig('mqtts://127.0.0.1', {}, { caFile: resolve('README.md') }),
      [],
      'broker',
      7,
      /^mqtt.caFile holds no/,
    ],
    ['no permission to publish', async () => writeConfig(await start('topic write tocsin/v1/test/post-1/event\n')), [], 'acl', 7, /refuses .*135/],
    ['no permission to subscribe', async () => writeConfig(await start('topic write tocsin/v1/test/post-1/#\n')), [], 'acl', 7, /did not give it back/],
  ])('with %s the chain breaks at that link', async (_name, configure, args, brokeAt, code, reason) => {
    const { status, err, result } = await selftest(['-c', await configure(), ...args]);
    expect({ status, brokeAt: result.brokeAt }).toEqual({ status: code, brokeAt });
    expect(`${result.reason}; ${result.try}`).toMatch(reason);
    expect(err).toMatch(/^Error: the chain broke at the .*\nTry: ./m);
  });

  test('with --one-way a sensor without permission to subscribe passes', async () => {
    const path = writeConfig(await start('topic write tocsin/v1/test/post-1/#\n'));
    const { status, result } = await selftest(['-c', path, '--one-way']);
    expect({ status, ok: result.ok }).toEqual({ status: 0, ok: true });
  });

  test('an aplay that does not end when it is told to is killed, and does not hold the test up', async () => {
    const { env } = fakeArecord('zeros');
    const [bin, pid] = [mkdtempSync(join(folder, 'bin-')), join(folder, 'aplay.pid')];
    writeFileSync(join(bin, 'aplay'), `#!/bin/sh\ntrap '' TERM\necho $$ >'${pid}'\nexec sleep 120\n`, { mode: 0o755 });
    const path = writeConfig(url, { microphone: { device: 'hw' } });
    const { status, result } = await selftest(['-c', path, '--speaker', '--seconds', '3'], { ...env, PATH: `${bin}:${env.PATH}` });
    expect({ status, brokeAt: result.brokeAt }).toEqual({ status: 4, brokeAt: 'microphone' });
    await vi.waitFor(() => expect(() => process.kill(Number(readFileSync(pid, 'utf8')), 0)).toThrow('ESRCH'));
  });

  test('a microphone that gives nothing is told as one that gives nothing, not as a sound that was too quiet', async () => {
    const path = writeConfig(url, { microphone: { device: 'hw' } });
    const { status, result } = await selftest(['-c', path, '--ask', '--seconds', '3'], fakeArecord('stuck').env);
    expect(result).toMatchObject({ brokeAt: 'microphone', reason: 'it gives no sound data', try: `sudo tocsin doctor -c ${path}` });
    expect(status).toBe(4);
  });

  const withoutPulse = missing('pulseaudio', 'pactl', 'arecord', 'aplay');
  describe.skipIf(withoutPulse)(`through a speaker and a microphone${withoutPulse ? ` (left out: ${withoutPulse})` : ''}`, () => {
    let street: Awaited<ReturnType<typeof openStreet>>;
    beforeAll(async () => {
      street = await openStreet();
    });
    afterAll(() => street.close());

    test('the sound from the speaker is heard, and its event comes back', async () => {
      const path = writeConfig(url, { microphone: { device: 'pulse' } });
      const { status, result, err } = await selftest(['-c', path, '--speaker', 'pulse'], street.env);
      expect({ status, ok: result?.ok, err }).toEqual({ status: 0, ok: true, err: '' });
      process.stdout.write(`selftest --speaker: ${JSON.stringify(result)}\n`);
    });

    test('a speaker that does not play breaks the chain at the speaker', async () => {
      const path = writeConfig(url, { microphone: { device: 'pulse' } });
      const { status, result } = await selftest(['-c', path, '--speaker', 'plughw:CARD=Nowhere'], street.env);
      expect({ status, brokeAt: result.brokeAt }).toEqual({ status: 4, brokeAt: 'speaker' });
      expect(result.reason).toMatch(/plughw:CARD=Nowhere plays nothing: aplay: .*No such/);
    });

    test('silence breaks the chain at the microphone', async () => {
      const path = writeConfig(url, { microphone: { device: 'pulse' } });
      const { status, result } = await selftest(['-c', path, '--ask', '--seconds', '3'], street.env);
      expect({ status, brokeAt: result.brokeAt }).toEqual({ status: 4, brokeAt: 'microphone' });
    });
  });
});
