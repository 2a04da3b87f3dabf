import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { sceneSounds, synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { openStreet } from '../support/pulse.ts';

const scene = resolve('test/demo/scene.flac');

/** With a broker that is not there. */
function writeConfig(folder: string, microphone: object): string {
  const path = join(folder, 'tocsin.yaml');
  const mqtt = { url: 'mqtt://127.0.0.1:1', protocol: '3.1.1' };
  writeFileSync(path, stringify({ site: 'test', sensor: 'post-1', microphone, outbox: { path: join(folder, 'outbox.db') }, mqtt, log: { level: 'warn' } }));
  return path;
}
function tocsin(args: string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  return spawn(process.execPath, ['agent/main.ts', ...args], { stdio: ['ignore', 'pipe', 'inherit'], env });
}
const exit = (child: ChildProcess) => new Promise<number | null>((done) => child.once('close', done));

describe('the command line', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });

  test('`replay --json` prints one JSON object per line for each recognised sound of the scene', () => {
    const { stdout, status } = run('replay', scene, '--json');
    expect(status).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const line of lines)
      expect(line).toEqual({
        file: scene,
        label: expect.any(String),
        onsetSeconds: expect.any(Number),
        offsetSeconds: expect.any(Number),
        confidence: expect.any(Number),
      });
    for (const { label, onset } of sceneSounds.filter((s) => s.label === 'glass_break'))
      expect(
        lines.some((l) => l.label === label && Math.abs(l.onsetSeconds - onset) < 0.5),
        `${label} at ${onset} s`,
      ).toBe(true);
  });

  test('a sound at the very end of a recording is recognised by `replay` and `evaluate`', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-short-'));
    const file = join(folder, 'short.wav');
    const seconds = 11.45;
    writeFileSync(file, wavFile(synthesiseScene().subarray(0, seconds * 16_000), 16_000));
    writeFileSync(
      join(folder, 'scenes.json'),
      JSON.stringify([{ file: 'short.wav', seconds, events: [{ onset: 11, offset: seconds, label: 'glass_break' }] }]),
    );
    expect(JSON.parse(run('replay', file, '--json').stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ label: 'glass_break' });
    expect(JSON.parse(run('evaluate', folder, '--json').stdout).perLabel.glass_break.hit).toBe(1);
    for (const [page, status] of [
      [join(folder, 'page.html'), 0],
      ['/dev/full', 1], // a result that took hours is not lost when its page cannot be written
    ] as const) {
      const evaluated = run('evaluate', folder, '--out', page);
      expect(evaluated.status, page).toBe(status);
      expect(evaluated.stdout.replace(/\s+/g, ' ')).toContain('no scene is without a target These scenes contain none of: shout, bang.');
    }
  });

  test.each([
    [['replay', '/nowhere.wav'], 4, /Error: Expected a wav, flac, ogg or mp3 file at \/nowhere.wav/],
    [['listen', '--config', '/nowhere.yaml'], 3, /Error: Expected a configuration file/],
    [['model', '/nowhere'], 5, /Error: Expected manifest.json/],
    [['replay'], 2, /missing required argument/],
    [['listne'], 2, /unknown command/],
  ])('%j ends with exit code %i, an error and a hint', (args, code, message) => {
    const { status, stderr, stdout } = run(...args);
    expect(status).toBe(code);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^Try: /m);
    expect(stdout).toBe('');
  });

  test.each([['config', 'example'], ['model'], ['privacy', 'manifest', '-c', 'deploy/tocsin.example.yaml']])(
    'a command whose output is not read to its end exits with 141, not 0: %s',
    async (...args) => {
      const child = spawn(process.execPath, ['agent/main.ts', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
      child.stdout.destroy();
      expect(await once(child, 'close')).toEqual([141, null]);
    },
  );

  test('every listed command has help with examples', () => {
    const commands = [...run('--help').stdout.matchAll(/^ {2}(?!help)([a-z][a-z-]+)(?= .*\w)/gm)].map(([, command]) => command as string);
    expect(commands).toEqual(expect.arrayContaining(['run', 'privacy', 'bench']));
    for (const command of commands) expect(run(command, '--help').stdout, command).toContain('Examples:');
  });

  test('`config check`, `show` and `example`, `status`, `events` and `bench` work with a new outbox', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-cli-'));
    const path = writeConfig(folder, { adapter: 'file', file: scene });
    expect(run('config', 'check', '-c', path)).toMatchObject({ status: 0, stdout: expect.stringMatching(/is\svalid/) }); // a long path wraps
    expect(JSON.parse(run('config', 'show', '-c', path, '--json').stdout)).toMatchObject({ site: 'test', log: { level: 'warn' } });
    expect(run('config', 'example').stdout).toContain('site: old-port');
    expect(JSON.parse(run('status', '-c', path, '--json').stdout)).toMatchObject({ pending: 0, stored: 0 });
    expect(run('events', '-c', path).stdout).toContain('No event waits');
    expect(JSON.parse(run('bench', '--seconds', '5', '--json').stdout)).toMatchObject({ secondsOfSound: 5 });
  });
});

test('`tocsin run` turns sound into published events and writes only the outbox and its locks', async () => {
  const { folder, path, seen } = await openConnectedSensor('e2e', {
    microphone: { adapter: 'file', file: scene, sampleRateHz: 48000 },
    log: { level: 'warn' },
  });
  const agent = tocsin(['run', '-c', path]);
  expect(await exit(agent)).toBe(0);
  await seen.until(() => seen.events().length >= 2);
  expect(seen.events().map((e) => e.data.label)).toContain('glass_break');
  const locks = ['outbox.db.courier.lock', 'outbox.db.listener.lock'];
  expect(readdirSync(folder).sort()).toEqual(['outbox.db', 'outbox.db.ballast', ...locks, 'outbox.db.schema', 'tocsin.yaml']);
  expect(locks.map((lock) => statSync(join(folder, lock)).size)).toEqual([0, 0]);
  // the ballast is space to be freed on a full disk: only zeros
  expect(readFileSync(join(folder, 'outbox.db.ballast')).every((byte) => byte === 0)).toBe(true);
});

test('`tocsin run` with a file that ends and an unusable outbox ends both processes with the exit code of the outbox', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-e2e-'));
  const file = join(folder, 'second.wav');
  writeFileSync(file, wavFile(synthesiseScene().subarray(0, 16_000), 16_000));
  mkdirSync(join(folder, 'outbox.db'));
  const agent = tocsin(['run', '-c', writeConfig(folder, { adapter: 'file', file, sampleRateHz: 16_000 })]);
  expect(await exit(agent)).toBe(6);
});

test('`tocsin run` ends with the exit code of the listener if a file is absent or ends before the courier is up', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-e2e-'));
  const second = join(folder, 'second.wav');
  writeFileSync(second, wavFile(synthesiseScene().subarray(0, 16_000), 16_000));
  const env = { ...process.env, NODE_OPTIONS: `--import ${pathToFileURL(resolve('test/support/plant-held-courier.ts'))}` };
  for (const [file, code] of [
    [join(folder, 'none.wav'), 4],
    [second, 0],
  ] as const)
    expect(await exit(tocsin(['run', '-c', writeConfig(folder, { adapter: 'file', file, sampleRateHz: 16_000 })], env))).toBe(code);
});

test('`tocsin run` says so where only one process can be started, and leaves none behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-e2e-'));
  const config = writeConfig(folder, { adapter: 'file', file: scene, sampleRateHz: 48000 });
  const second = `let n = 0; const path = process.execPath; Object.defineProperty(process, 'execPath', { get: () => n++ ? '/nowhere/node' : path })`;
  const args = ['--import', `data:text/javascript,${second}`, 'agent/main.ts', 'run', '-c', config];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' }); // whoever holds stderr keeps it from returning
  expect([status, stderr]).toEqual([1, 'Error: Expected both processes to run, got spawn /nowhere/node ENOENT from one\nTry: start again\n']);
});

test('`tocsin run` ends both processes when its terminal closes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-e2e-'));
  const agent = tocsin(['run', '-c', writeConfig(folder, { adapter: 'file', file: scene, sampleRateHz: 48000 })]);
  const halves = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(`${folder}/tocsin.yaml`) && Number(pid) !== agent.pid);
  await vi.waitFor(() => expect(existsSync(join(folder, 'outbox.db'))).toBe(true), 20_000);
  expect(halves()).toHaveLength(2);
  agent.kill('SIGHUP');
  expect(await exit(agent)).toBe(0);
  expect(halves()).toEqual([]);
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // the process has ended
  }
}

const withoutPulse = missing('pulseaudio', 'paplay', 'arecord');
describe.skipIf(withoutPulse)(`a real capture chain (PulseAudio null sink)${withoutPulse ? ` (left out: ${withoutPulse})` : ''}`, () => {
  let street: Awaited<ReturnType<typeof openStreet>>;
  beforeAll(async () => {
    street = await openStreet(2);
    writeFileSync(join(street.home, 'scene.wav'), wavFile(synthesiseScene(), 16000));
  });
  afterAll(() => street.close());

  test.each([
    ['alsa', 'pulse'],
    ['web-audio', 'default'],
  ])('the %s microphone hears glass that is played, and the event arrives over MQTT', async (adapter, device) => {
    const { env, home } = street;
    // an idle sink gives digital zeros, which is a fault: the time-out covers the wait for the scene
    const { path, seen } = await openConnectedSensor('e2e', { microphone: { adapter, device, silenceTimeoutSeconds: 60 }, log: { level: 'warn' } });
    const agent = tocsin(['run', '-c', path], env);
    const ended = exit(agent);
    await seen.until(() => seen.messages.some((m) => m.text.includes('online')));
    // capture may begin after the courier is online: plays until the sound was heard
    let heard = false;
    const arrived = seen
      .until(() => seen.events().some((e) => e.data.label === 'glass_break'))
      .finally(() => {
        heard = true;
      });
    let player: ChildProcess | undefined;
    const playing = (async () => {
      while (!heard) {
        player = spawn('paplay', [join(home, 'scene.wav')], { env, stdio: 'ignore' });
        await exit(player);
      }
    })();
    await arrived;
    player?.kill('SIGKILL');
    await playing;
    agent.kill('SIGTERM');
    expect(await ended).toBe(0);
    const event = seen.events().find((e) => e.data.label === 'glass_break');
    process.stdout.write(`heard through ${adapter}: ${JSON.stringify(event?.data)}\n`);
  });
});
