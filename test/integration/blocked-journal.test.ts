import { spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { exitCodes } from '../../agent/lib/errors.ts';
import { openLogger } from '../../agent/lib/logger.ts';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';

/** A pipe with a reading end and a blocking writing end, like the stderr of a listener or courier. `fill` leaves no room in it. */
function openPipe() {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-pipe-')), 'pipe');
  spawnSync('mkfifo', [path]);
  const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const write = openSync(path, 'w');
  const ends = [both, write];
  onTestFinished(() => ends.forEach(closeSync));
  return {
    write,
    fill() {
      try {
        for (;;) writeSync(both, ' '.repeat(512));
      } catch (error) {
        expect(error).toMatchObject({ code: 'EAGAIN' });
      }
    },
    read(most = 1_000_000) {
      const bytes = Buffer.alloc(most);
      return bytes.toString('utf8', 0, readSync(both, bytes)).trimEnd();
    },
    closeReader() {
      closeSync(both);
      ends.shift();
    },
  };
}

const places = {
  'a pipe that nobody reads'() {
    const pipe = openPipe();
    pipe.fill();
    return pipe.write;
  },
  'a pipe whose reader is gone'() {
    const pipe = openPipe();
    pipe.closeReader();
    return pipe.write;
  },
  'a file on a full disk'() {
    const file = openSync('/dev/full', 'w');
    onTestFinished(() => closeSync(file));
    return file;
  },
};

test.each(Object.entries(places))('both processes listen, publish and stop in order while their journal is %s', async (_, open) => {
  const stderr = open();
  const { path, seen, of } = await openConnectedSensor('journal');
  const { env } = fakeArecord('sound');
  const halves = ['listen', 'deliver'].map((half) => {
    const child = spawn(process.execPath, ['agent/main.ts', half, '-c', path], { stdio: ['ignore', 'ignore', stderr], env });
    const ended = new Promise((done) => child.once('close', done));
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return { child, ended };
  });
  await seen.until(() => of('health').some(({ hearing }) => hearing.state === 'listening'));
  for (const { child, ended } of halves) {
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  }
});

// thrown outside any handler, once the process edge is set up
const planted = `const plant = setInterval(() => {
  if (process.listenerCount('SIGUSR1') === 0) return;
  clearInterval(plant);
  throw new Error('planted');
}, 10);`;

test.each(Object.entries(places))('a process that fails or crashes ends with its exit code while its journal is %s', async (_, open) => {
  const stderr = open();
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-journal-'));
  const path = join(folder, 'tocsin.yaml');
  const mqtt = { url: 'mqtt://127.0.0.1:1' };
  writeFileSync(path, stringify({ site: 'test', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db') }, mqtt }));
  const endOf = (...args: string[]) =>
    new Promise((done) => {
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', stderr] });
      onTestFinished(() => void child.kill('SIGKILL'));
      child.once('close', done);
    });
  const ends = await Promise.all([
    endOf('agent/main.ts', 'listen', '-c', join(folder, 'absent.yaml')),
    endOf('agent/main.ts', 'deliver', '-c', join(folder, 'absent.yaml')),
    endOf('--import', `data:text/javascript,${encodeURIComponent(planted)}`, 'agent/main.ts', 'deliver', '-c', path),
  ]);
  expect(ends).toEqual([exitCodes.config, exitCodes.config, exitCodes.failure]);
});

test('log lines that were not accepted are counted, and the count is logged after the next accepted line', () => {
  const pipe = openPipe();
  const logger = openLogger('trial', 'info', pipe.write);
  logger.info({ reason: 'x'.repeat(10_000) }, 'first');
  pipe.fill();
  for (let i = 0; i < 3; i++) logger.info({}, 'lost');
  expect(JSON.parse(pipe.read())).toMatchObject({ part: 'trial', msg: 'first' });
  logger.info({}, 'second');
  const said = pipe.read().split('\n');
  expect(said.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'second' }, { level: 40, lines: 3, msg: expect.stringContaining('missing') }]);
  logger.info({}, 'third');
  expect(JSON.parse(pipe.read())).toMatchObject({ msg: 'third' });
});

test('the count of lost log lines is kept if it is not accepted itself', () => {
  const pipe = openPipe();
  const logger = openLogger('trial', 'info', pipe.write);
  pipe.fill();
  for (let i = 0; i < 3; i++) logger.info({}, 'lost');
  pipe.read(4096); // one page: room for the next line only
  logger.info({ reason: 'x'.repeat(3900) }, 'second');
  expect(JSON.parse(pipe.read())).toMatchObject({ msg: 'second' });
  logger.info({}, 'third');
  const said = pipe.read().split('\n');
  expect(said.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'third' }, { lines: 3 }]);
});

test('a partly accepted log line counts as lost, and the next one starts on a new line', () => {
  const pipe = openPipe();
  const logger = openLogger('trial', 'info', pipe.write);
  pipe.fill();
  pipe.read(4096);
  logger.info({ reason: 'x'.repeat(10_000) }, 'cut');
  const cut = pipe.read();
  expect(cut).toMatch(/^ *\{.*x$/);
  logger.info({}, 'next');
  const [rest, ...said] = (cut + pipe.read()).split('\n');
  expect(rest).toBe(cut);
  expect(said.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'next' }, { lines: 1 }]);
});
