import { ChildProcess, spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { closeSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { CaptureError } from '../../agent/audio/capture-error.ts';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';
import { frenchErrors } from '../../agent/cli/messages/errors.ts';
import type { MicrophoneFault } from '../../agent/lib/faults.ts';
import { socketPair } from '../../agent/lib/libc.ts';
import { formsInMemory, pieceOf } from '../support/memory-search.ts';
import { seededRandom } from '../support/random.ts';

const random = seededRandom(78);
const period = Int16Array.from({ length: 250 }, () => (random() - 0.5) * 20_000); // half a kilobyte, again and again
const sound = Int16Array.from({ length: 300_001 }, (_, i) => period[i % period.length] as number);
const bytes = Buffer.from(sound.buffer);
const file = join(mkdtempSync(join(tmpdir(), 'tocsin-pcm-')), 'sound');
writeFileSync(file, bytes);
const pieces = [pieceOf('int16', bytes), pieceOf('float32', Buffer.from(Float32Array.from(sound, (s) => s / 32768).buffer))];

/** What another process says that reads the output of a shell script, and the forms in which it still holds it. */
async function read(script: string, ending = 'whole', channels = 1) {
  const reader = spawn(process.execPath, ['test/support/slow-reader.ts', script, ending, String(channels)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void reader.kill('SIGKILL'));
  const [said] = await once(reader.stdout, 'data');
  return { samples: Number.parseInt(String(said), 10), held: formsInMemory(reader.pid as number, pieces) };
}

test('a reader that is slower than the microphone gets all of the sound, and holds none of it afterwards', async () => {
  expect(await read(`cat ${file}`)).toEqual({ samples: sound.length, held: [] });
});

test.each([1, 2])('whatever the sizes in which it comes, halves of samples too: %i channels', async (channels) => {
  const script = `for n in 1 2 3 4 5; do head -c 60001; sleep 0.1; done <${file}`;
  expect(await read(script, 'whole', channels)).toEqual({ samples: Math.floor((5 * 60_001) / (2 * channels)), held: [] });
});

test.each(['leaves', 'throws', 'refuses'])('a reader that %s in the middle holds none either', async (ending) => {
  const { samples, held } = await read(`cat ${file}; sleep 30`, ending);
  expect(samples).toBeLessThan(sound.length);
  expect(held).toEqual([]);
});

test.each([
  [12_000, 1],
  [960, 1],
  [96_000, 1],
  [24_000, 2],
  [1920, 2],
])('what waits for a reader that is late is less than a second: written %i bytes at once, %i channels', async (atOnce, channels) => {
  const [mine, childs] = socketPair(200, channels * 2 * 0.6 * 48_000);
  const writer = spawn('dd', ['if=/dev/zero', `bs=${atOnce}`, 'status=none'], { stdio: ['ignore', childs, 'inherit'] });
  closeSync(childs);
  // it sleeps for nothing but room in the socket
  const blocked = () => expect(readFileSync(`/proc/${writer.pid}/stat`, 'utf8')).toMatch(/ \(dd\) S /);
  await vi.waitFor(blocked, { timeout: 10_000 });
  writer.kill('SIGKILL');
  await once(writer, 'close');
  let waited = 0;
  const buffer = Buffer.alloc(65_536);
  for (let got = readSync(mine, buffer); got > 0; got = readSync(mine, buffer)) waited += got;
  closeSync(mine);
  process.stdout.write(`${waited} bytes waited, written ${atOnce} at once\n`);
  expect(waited / (channels * 2 * 48_000)).toBeLessThan(1);
});

test('a reader that is late by 4 s has lost what was not kept for it, once, although arecord tells of it too', async () => {
  const sampleRate = 16_000;
  const monotonicMs = () => performance.now();
  const args = ['test/support/late-arecord.ts', String(sampleRate)];
  const microphone = openPcmProcess({ command: process.execPath, args, channels: 1, sampleRate, silenceTimeoutSeconds: 5, monotonicMs, tryHint: '' });
  const stop = new AbortController();
  let received = 0;
  let beganMs = 0;
  let late = false;
  let missing = 0;
  for await (const { samples } of microphone.frames(stop.signal)) {
    received += samples.length;
    beganMs ||= monotonicMs() - (received / sampleRate) * 1000;
    missing = (monotonicMs() - beganMs) / 1000 - (received + microphone.dropped) / sampleRate;
    if (!late && received > 2 * sampleRate) {
      late = true;
      expect(microphone.dropped).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 4000));
    }
    if (received > 7 * sampleRate) stop.abort();
  }
  process.stdout.write(`late by 4 s: ${(microphone.dropped / sampleRate).toFixed(2)} s dropped, ${missing.toFixed(2)} s neither received nor dropped\n`);
  expect(microphone.dropped / sampleRate).toBeGreaterThan(2.5); // 0.5 s waits in arecord, and less than a second in the socket
  expect(microphone.dropped / sampleRate).toBeLessThan(4);
  expect(Math.abs(missing)).toBeLessThan(0.4);
});

test('a reader that is stopped while it waits, and goes on, gets all of the sound', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-stopped-'));
  const reader = spawn(process.execPath, [
    'test/support/slow-reader.ts',
    `head -c 3200 ${file}; touch ${folder}/waits; until [ -e ${folder}/go ]; do sleep 0.1; done; head -c 3200 ${file}`,
  ]);
  onTestFinished(() => void reader.kill('SIGKILL'));
  const said = once(reader.stdout, 'data');
  const ended = once(reader, 'close').then(([code]) => expect.fail(`the reader ended with ${code}: ${reader.stderr.read()}`));
  const state = (pattern: RegExp) => vi.waitFor(() => expect(readFileSync(`/proc/${reader.pid}/stat`, 'utf8')).toMatch(pattern), { timeout: 20_000 });
  await vi.waitFor(() => expect(existsSync(join(folder, 'waits'))).toBe(true), { timeout: 30_000 });
  for (let i = 0; i < 10; i++) {
    reader.kill('SIGSTOP');
    await state(/ \(.*\) T /);
    reader.kill('SIGCONT');
    await state(/ \(.*\) [SR] /);
    await new Promise((resolve) => setTimeout(resolve, 50)); // it waits for sound again
  }
  writeFileSync(join(folder, 'go'), '');
  expect(String((await Promise.race([said, ended]))[0])).toBe('3200 samples\n');
});

async function drain(script: string, silenceTimeoutSeconds: number, heard: (samples: Float32Array) => void = () => undefined, change = {}) {
  const parts = { channels: 1 as const, sampleRate: 16_000, silenceTimeoutSeconds, monotonicMs: () => performance.now(), tryHint: 'try' };
  const microphone = openPcmProcess({ command: 'sh', args: ['-c', script], ...parts, ...change });
  const { signal } = new AbortController();
  try {
    for await (const { samples } of microphone.frames(signal)) heard(samples);
  } finally {
    expect(getEventListeners(signal, 'abort'), 'of a microphone that is away for weeks each attempt would leave one').toEqual([]);
  }
}

test.each([1, 2] as const)('samples that come in two pieces are put together: %i channels', async (channels) => {
  const heard: number[] = [];
  const script = `for n in 1 2 3; do head -c 1001; sleep 0.3; done <${file}`;
  await expect(drain(script, 5, (samples) => void heard.push(...samples), { channels })).rejects.toThrow('exit 0');
  const at = (i: number) => sound[i] as number;
  const expected = (i: number) => (channels === 1 ? at(i) / 32768 : (at(2 * i) + at(2 * i + 1)) / 65536);
  expect(heard).toEqual(Array.from({ length: Math.floor(3003 / (2 * channels)) }, (_, i) => expected(i)));
});

test('what the child said last is told, without blank lines between', async () => {
  const said = 'ALSA lib pcm.c:1: search\n\narecord: main:831: audio open error: No such file\n';
  await expect(drain(`printf '${said.replaceAll('\n', '\\n')}' >&2; exit 1`, 5)).rejects.toThrow(
    'got: exit 1 (arecord: main:831: audio open error: No such file)',
  );
});

test('it is asked for English, in which its faults are known, and its fault is the last thing it says, however much comes before', async () => {
  vi.stubEnv('LC_ALL', 'fr_FR.UTF-8');
  onTestFinished(() => void vi.unstubAllEnvs());
  const script = 'yes ALSA lib search | head -c 9000; test "$LC_ALL" = C || exit; echo audio open error: Device or resource busy';
  await expect(drain(`{ ${script}; } >&2`, 5)).rejects.toMatchObject({ fault: 'busy' });
});

test.each<[MicrophoneFault, string, RegExp]>([
  ['busy', 'echo audio open error: Device or resource busy >&2', /^fuser .* systemctl stop tocsin-listener$/],
  ['unplugged', `head -c 3200 ${file}; echo read error: Input/output error >&2`, /^plug it in/],
  ['absent', 'echo audio open error: No such file or directory >&2', /^try$/], // by who named it
  ['failed', `head -c 3200 ${file}`, /^try$/],
])('what to try where it is %s', async (fault, script, tryHint) => {
  const error = await drain(script, 5).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ fault, tryHint: expect.stringMatching(tryHint) });
  if (fault === 'busy' || fault === 'unplugged') expect(frenchErrors).toHaveProperty([(error as CaptureError).tryHint]);
});

test('a read that the kernel refuses is a fault of the capture, not a defect', async () => {
  const sockets = () =>
    readdirSync('/proc/self/fd').flatMap((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:') ? [Number(name)] : [];
      } catch {
        return []; // the one that reads the folder
      }
    });
  const blocking = (fd: number) =>
    (Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8) & constants.O_NONBLOCK) === 0;
  const before = sockets();
  // one who ends with something unread leaves ECONNRESET to the other (unix(7)); nothing but a test writes to this socket
  const heard = () => sockets().forEach((fd) => void (!before.includes(fd) && blocking(fd) && writeSync(fd, 'x')));
  await expect(drain(`head -c 3200 ${file}; sleep 1`, 30, heard)).rejects.toMatchObject({ fault: 'failed', message: expect.stringContaining('ECONNRESET') });
});

test('one that gives a tenth of a second and then none for one, again and again, is stuck', async () => {
  let frames = 0;
  const heard = () => void frames++;
  await expect(drain(`while :; do head -c 3200 ${file}; sleep 1; done`, 2, heard)).rejects.toMatchObject({
    fault: 'stuck',
    message: expect.stringContaining('no sound for 2 s of the last 4 s'),
  });
  expect(frames).toBeGreaterThan(1);
});

test('a reader that stands still for longer than the time for it, while it waits, does not take the microphone for stuck', async () => {
  let frames = 0;
  const standStill = () => {
    const until = performance.now() + 1500;
    while (performance.now() < until);
  };
  // in the middle of the read that follows
  const heard = () => void (++frames === 3 && setTimeout(standStill, 50));
  // more sound than time: a busy machine makes the pauses longer
  const script = `for n in 1 2 3 4 5 6; do head -c 32000 ${file}; sleep 0.5; done`;
  await expect(drain(script, 1, heard)).rejects.toMatchObject({ fault: 'failed', message: expect.stringContaining('exit 0') });
});

test('a capture that is stuck is told in time although a process of its own keeps its stderr open', async () => {
  const beganMs = performance.now();
  await expect(drain('sleep 20 >/dev/null & exec sleep 20', 0.5)).rejects.toMatchObject({
    fault: 'stuck',
    message: expect.stringContaining('no sound for 0.5 s'),
  });
  expect(performance.now() - beganMs).toBeLessThan(4000);
});

test('one that cannot be killed is told too, no other is started beside it, and once it has ended one is', async () => {
  const script = 'exec sleep 61.4142';
  const running = () =>
    readdirSync('/proc').filter((id) => {
      try {
        return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, 'utf8') === 'sleep\0' + '61.4142\0';
      } catch {
        return false;
      }
    });
  // stands for a process that waits in a driver: the kill has no effect
  const kill = vi.spyOn(ChildProcess.prototype, 'kill').mockReturnValue(true);
  onTestFinished(() => running().forEach((id) => void process.kill(Number(id), 'SIGKILL')));
  const device = { device: 'hw:1' };
  await expect(drain(script, 0.5, undefined, device)).rejects.toMatchObject({ fault: 'stuck', message: expect.stringContaining('no sound for 0.5 s') });
  const [left] = running();
  const other = `${script}; # another command for the same device`;
  await expect(drain(other, 0.5, undefined, device)).rejects.toMatchObject({ message: expect.stringContaining(`process ${left} is still there`) });
  for (let attempt = 0; attempt < 3; attempt++)
    await expect(drain(script, 0.5, undefined, device)).rejects.toMatchObject({
      fault: 'stuck',
      message: expect.stringContaining(`process ${left} is still there`),
    });
  expect(running()).toEqual([left]);
  kill.mockRestore();
  process.kill(Number(left), 'SIGKILL');
  await expect(drain(script, 0.5, undefined, device)).rejects.toMatchObject({ fault: 'stuck', message: expect.stringContaining('no sound for 0.5 s') });
});

test('of two channels it is told how much of either was at full scale', async () => {
  const left = Int16Array.from({ length: 9600 }, (_, i) => (i % 2 ? 0 : i % 4 ? 32767 : -32768)); // left and right by turns
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-clipped-')), 'sound');
  writeFileSync(path, Buffer.from(left.buffer));
  const told = async (channels: 1 | 2) => {
    const options = {
      command: 'sh',
      args: ['-c', `cat ${path}`],
      channels,
      sampleRate: 48_000,
      silenceTimeoutSeconds: 30,
      monotonicMs: () => performance.now(),
      tryHint: 'none',
    };
    let atFullScale: number | undefined;
    const hear = async () => {
      for await (const frame of openPcmProcess(options).frames(new AbortController().signal))
        if (frame.atFullScale !== undefined) atFullScale = (atFullScale ?? 0) + frame.atFullScale;
    };
    await expect(hear()).rejects.toThrow('exit 0');
    return atFullScale;
  };
  expect(await told(2)).toBe(4800);
  expect(await told(1)).toBeUndefined(); // the samples tell it
});
