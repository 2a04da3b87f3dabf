import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { shellWord } from '../../agent/lib/shell-word.ts';
import { readingsPerSecond } from '../../agent/meter/reading.ts';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';
import { fakeArecord } from '../support/fake-arecord.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-meter-'));
const config = join(folder, 'tocsin.yaml');
const socket = join(folder, 'meter.sock');
const patient = { timeout: 60_000, interval: 100 };

beforeAll(() => {
  const scene = synthesiseScene();
  const long = new Int16Array(scene.length * 8);
  for (let i = 0; i < 8; i++) long.set(scene, i * scene.length);
  writeFileSync(join(folder, 'scene.wav'), wavFile(long, 16000));
  configure({ adapter: 'file', file: join(folder, 'scene.wav'), splAtFullScaleDb: 120 });
});
const configure = (microphone: object) => {
  const model = { open: { shout: 0.95 } };
  writeFileSync(
    config,
    stringify({ site: 'test', sensor: 'post-1', microphone, model, outbox: { path: join(folder, 'outbox.db') }, mqtt: { url: 'mqtt://127.0.0.1:1' } }),
  );
};

const children: ChildProcess[] = [];
let running: Promise<ChildProcess> | undefined;
/** One listener for all tests. */
const listener = () => {
  running ??= startListener();
  return running;
};
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

async function startListener(env = process.env): Promise<ChildProcess> {
  rmSync(socket, { force: true }); // left by a killed listener
  const child = spawn(process.execPath, ['agent/main.ts', 'listen', '-c', config], { stdio: 'ignore', env });
  children.push(child);
  await vi.waitFor(() => expect(statSync(socket).mode & 0o777).toBe(0o660), patient);
  return child;
}
const meter = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', 'meter', '-c', config, ...args], { encoding: 'utf8' });
const readingsFor = (seconds: number) => {
  const { stdout, stderr, status } = meter('--json', '--seconds', String(seconds));
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
};

test('without a listener `meter` ends with an error and a hint', () => {
  const { status, stderr, stdout } = meter();
  expect(status).toBe(4);
  expect(stdout).toBe('');
  expect(stderr).toContain(`Error: Expected a listener at ${socket}, got none`);
  expect(stderr).toMatch(/Try: .*start tocsin-listener/);
});

test('`meter` shows levels, scores, thresholds and fired events of a real listener, as JSON and as lines', async () => {
  await listener();
  const readings = readingsFor(16);
  expect(readings.length).toBeLessThanOrEqual(17 * readingsPerSecond);
  expect(readings.length).toBeGreaterThan(8 * readingsPerSecond);
  const last = readings.at(-1);
  expect(last).toMatchObject({ state: 'listening', fault: 'none', labels: { shout: { open: 0.95, own: true }, bang: { own: false } } });
  expect(last.levelDbfs).toBeGreaterThan(-90);
  expect(last.soundPressureLevelDb).toBeGreaterThan(20);
  const fired = last.last.filter((one: { outcome: string }) => one.outcome === 'fired');
  expect(fired.length).toBeGreaterThan(0);
  const peaks = readings.map((r) => r.labels[fired[0].label].score);
  expect(Math.max(...peaks)).toBeGreaterThan(last.labels[fired[0].label].open);

  const lines = meter('--seconds', '3', '--lang', 'fr');
  expect(lines.status).toBe(0);
  expect(lines.stdout).toMatch(/^\d\d:\d\d:\d\d -\d+\u00a0dBFS \d+\u00a0dB SPL fond -\d+ bris de verre 0,\d\d\u00a0; cri 0,\d\d\u00a0; détonation 0,\d\d$/m);
  expect(lines.stdout).not.toContain('\x1b');
});

const without = missing('script', 'stty');
describe.skipIf(without)(`meter on a terminal${without ? ` (left out: ${without})` : ''}`, () => {
  const called = `${shellWord(process.execPath)} agent/main.ts meter -c ${config}`;
  const childOf = (pid = 0) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  /** Opens the live view on a pseudo-terminal (script(1)). */
  function openView(size = 'cols 60 rows 24', TERM = 'xterm', command = `exec ${called}`) {
    const child = spawn('script', ['-qfec', `stty ${size}; ${command}`, '/dev/null'], {
      env: { ...process.env, TERM },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let out = '';
    child.stdout.on('data', (bytes: Buffer) => {
      out += bytes;
    });
    const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
    const pid = () => childOf(child.pid);
    return { child, ended, pid, out: () => out };
  }
  const hidden = '\x1b[?1049h\x1b[?25l';
  const restored = '\x1b[?25h\x1b[?1049l';

  test.each([
    ['q', 0, (view: ReturnType<typeof openView>) => void view.child.stdin.write('q')],
    ['Ctrl-C', 0, (view: ReturnType<typeof openView>) => void view.child.stdin.write('\x03')],
    ['SIGTERM', 0, (view: ReturnType<typeof openView>) => void process.kill(view.pid(), 'SIGTERM')],
    ['SIGHUP', 129, (view: ReturnType<typeof openView>) => void process.kill(view.pid(), 'SIGHUP')],
    ['SIGQUIT', 131, (view: ReturnType<typeof openView>) => void process.kill(view.pid(), 'SIGQUIT')],
  ])('%s ends the view and restores the terminal', async (_, status, end) => {
    await listener();
    const view = openView();
    await vi.waitFor(() => expect(view.out()).toContain('opens at'), patient);
    expect(view.out()).toContain(hidden);
    end(view);
    expect(await view.ended).toBe(status);
    expect(view.out().endsWith(restored)).toBe(true);
  });

  test.skipIf(missing('bash')).each([
    ['Ctrl-Z', (view: ReturnType<typeof openView>) => void view.child.stdin.write('\x1a')],
    ['SIGSTOP', (view: ReturnType<typeof openView>) => void process.kill(childOf(view.pid()), 'SIGSTOP')], // which no program notices
  ])('after %s, fg draws everything anew and takes single keys (needs bash)', async (how, stop) => {
    await listener();
    const view = openView('cols 60 rows 24', 'xterm', 'exec bash --norc -i');
    const { child, ended, out } = view;
    child.stdin.write(`${called}\n`);
    await vi.waitFor(() => expect(out()).toContain('opens at'), patient);
    stop(view);
    await vi.waitFor(() => expect(out()).toMatch(/Stopped .*meter/), patient);
    if (how === 'Ctrl-Z') expect(out().lastIndexOf(restored)).toBeGreaterThan(out().lastIndexOf(hidden));
    const stopped = out().length;
    child.stdin.write('fg\n');
    await vi.waitFor(() => expect(out().slice(stopped)).toMatch(/\[\?1049h[\s\S]*\[2J[\s\S]*opens at/), patient);
    child.stdin.write('q');
    await vi.waitFor(() => expect(out().slice(stopped)).toContain(restored), patient);
    child.stdin.write('exit\n');
    expect(await ended).toBe(0);
  });

  test('where no shell could continue it, Ctrl-Z does not end the view', async () => {
    await listener();
    const view = openView();
    await vi.waitFor(() => expect(view.out()).toContain('opens at'), patient);
    const pressed = view.out().length;
    view.child.stdin.write('\x1a');
    await vi.waitFor(() => expect(view.out().slice(pressed)).toMatch(/\[\?1049h[\s\S]*\[2J[\s\S]*opens at/), patient);
    view.child.stdin.write('q');
    expect(await view.ended).toBe(0);
  });

  test.each([
    ['a serial line without a size', 'cols 0 rows 0', 'opens at'],
    ['a terminal narrower than a label', 'cols 8 rows 24', 'Tocsin m'],
  ])('the view works on %s', async (_, size, shown) => {
    await listener();
    const view = openView(size);
    await vi.waitFor(() => expect(view.out()).toContain(shown), patient);
    view.child.stdin.write('q');
    expect(await view.ended).toBe(0);
  });

  test('a dumb terminal gets lines', async () => {
    await listener();
    const { child, ended, out } = openView('cols 60 rows 24', 'dumb');
    await vi.waitFor(() => expect(out()).toContain(' dBFS '), patient);
    child.stdin.write('\x03');
    expect(await ended).toBe(0);
    expect(out()).not.toContain('\x1b');
  });

  test('the view draws only changes, everything after a resize, and continues after a restart of the listener', async () => {
    const first = await listener();
    const view = openView();
    await vi.waitFor(() => expect(view.out()).toContain('opens at'), patient);
    const began = view.out().length;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(view.out().length - began).toBeLessThan(3 * 60 * 24); // less than a screen a second
    const resized = view.out().length;
    spawnSync('stty', ['-F', readlinkSync(`/proc/${view.pid()}/fd/1`), 'cols', '100', 'rows', '30']);
    await vi.waitFor(() => expect(view.out().slice(resized)).toContain('\x1b[2J'), patient);
    await vi.waitFor(() => expect(view.out().slice(resized)).toContain('\x1b[1;94H'), patient);

    const killed = view.out().length;
    first.kill('SIGKILL');
    await vi.waitFor(() => expect(view.out().slice(killed)).toContain('Trying again'), patient);
    await startListener();
    const back = view.out().length;
    await vi.waitFor(() => expect(view.out().slice(back)).toContain('opens at'), patient);
    view.child.stdin.write('q');
    expect(await view.ended).toBe(0);
  });
});

// the noise floor appears after ten seconds of sound
test('a listener with a constant signal has a level but no noise floor', async () => {
  for (const child of children) child.kill('SIGKILL');
  await vi.waitFor(() => expect(children.every(({ signalCode, exitCode }) => (signalCode ?? exitCode) !== null)).toBe(true), patient);
  configure({});
  await startListener(fakeArecord('flat').env);
  const readings = readingsFor(18);
  expect(readings.at(-1)).toMatchObject({ state: 'deaf', fault: 'flat', listenedSeconds: 0 });
  expect(readings.some(({ levelDbfs }) => levelDbfs !== null)).toBe(true);
  expect(new Set(readings.map(({ noiseFloorDbfs }) => noiseFloorDbfs))).toEqual(new Set([null]));
});
