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
import { shellWord } from '../../agent/lib/shell-word.ts';
import { formsInMemory, pieceOf } from '../support/memory-search.ts';
import { seededRandom } from '../support/random.ts';

const random = seededRandom(78);
const period = Int16Array.from({ length: 250 }, () => (random() - 0.5) * 20_000); // half a kilobyte, repeated
const sound = Int16Array.from({ length: 300_001 }, (_, i) => period[i % period.length] as number);
const bytes = Buffer.from(sound.buffer);
const path = join(mkdtempSync(join(tmpdir(), 'tocsin-pcm-')), 'sound');
writeFileSync(path, bytes);
const file = shellWord(path);
const pieces = [pieceOf('int16', bytes), pieceOf('float32', Buffer.from(Float32Array.from(sound, (s) => s / 32768).buffer))];

/**
 * Reads the output of a shell script in another process. Returns its output, and the forms in which its memory still
 * holds the sound.
 */
async function read(script: string, ending = 'whole', channels = 1) {
  const reader = spawn(process.execPath, ['test/support/slow-reader.ts', script, ending, String(channels)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void reader.kill('SIGKILL'));
  const [said] = await once(reader.stdout, 'data');
  return { samples: Number.parseInt(String(said), 10), held: formsInMemory(reader.pid as number, pieces) };
}

test('a reader slower than the microphone gets all sound, and its memory holds none of it afterwards', async () => {
  expect(await read(`cat ${file}`)).toEqual({ samples: sound.length, held: [] });
});

test.each([1, 2])('all sound arrives whatever the sizes of its pieces, even with split samples: %i channels', async (channels) => {
  const script = `for n in 1 2 3 4 5; do head -c 60001; sleep 0.1; done <${file}`;
  expect(await read(script, 'whole', channels)).toEqual({ samples: Math.floor((5 * 60_001) / (2 * channels)), held: [] });
});

test.each(['leaves', 'throws', 'refuses'])('a reader that %s in the middle holds no sound in memory either', async (ending) => {
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
])('less than a second of sound waits for a late reader: written %i bytes at once, %i channels', async (atOnce, channels) => {
  const [mine, childs] = socketPair(200, channels * 2 * 0.6 * 48_000);
  const writer = spawn('dd', ['if=/dev/zero', `bs=${atOnce}`, 'status=none'], { stdio: ['ignore', childs, 'inherit'] });
  closeSync(childs);
  // it sleeps only for room in the socket
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

test('a reader that is 4 s late counts the loss once, although arecord reports it too', async () => {
  const sampleRate = 16_000;
  const monotonicMs = () => performance.now();
  const args = ['test/support/late-arecord.ts', String(sampleRate)];
  const microphone = openPcmProcess({ command: process.execPath, args, channels: 1, sampleRate, silenceTimeoutSeconds: 5, monotonicMs, tryHint: '' });
  const stop = new AbortController();
  let received = 0;
  let beganMs = 0;
  let late = false;
  let missing = 0;
  let marked = 0;
  for await (const { samples, afterOverrun } of microphone.frames(stop.signal)) {
    received += samples.length;
    if (afterOverrun) marked++;
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
  expect(Math.abs(missing)).toBeLessThan(0.4); // the loss counted twice would be 3 s too much
  expect(marked).toBeGreaterThan(0);
  expect(marked, 'of the frames, only those that follow an overrun').toBeLessThan(5);
});

test('a reader that is stopped and continued while it waits gets all sound', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-stopped-'));
  const reader = spawn(process.execPath, [
    'test/support/slow-reader.ts',
    `head -c 3200 ${file}; cd ${shellWord(folder)}; touch waits; until [ -e go ]; do sleep 0.1; done; head -c 3200 ${file}`,
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

test.each([1, 2] as const)('a sample split over two pieces is put together: %i channels', async (channels) => {
  const heard: number[] = [];
  const script = `for n in 1 2 3; do head -c 1001; sleep 0.3; done <${file}`;
  await expect(drain(script, 5, (samples) => void heard.push(...samples), { channels })).rejects.toThrow('exit 0');
  const at = (i: number) => sound[i] as number;
  const expected = (i: number) => (channels === 1 ? at(i) / 32768 : (at(2 * i) + at(2 * i + 1)) / 65536);
  expect(heard).toEqual(Array.from({ length: Math.floor(3003 / (2 * channels)) }, (_, i) => expected(i)));
});

test('the error contains the last line of the capture program, without blank lines', async () => {
  const said = 'ALSA lib pcm.c:1: search\n\narecord: main:831: audio open error: No such file\n';
  await expect(drain(`printf '${said.replaceAll('\n', '\\n')}' >&2; exit 1`, 5)).rejects.toThrow(
    'got: exit 1 (arecord: main:831: audio open error: No such file)',
  );
});

test('the error contains what failed, not the parameters that the capture program lists after it', async () => {
  // printed by arecord where PulseAudio has no source
  const said = 'sh: set_params:1416: Unable to install hw params:\\nACCESS:  RW_INTERLEAVED\\nBUFFER_BYTES: 96000\\nTICK_TIME: [0 0]\\n';
  await expect(drain(`printf '${said}' >&2; exit 1`, 5)).rejects.toThrow('got: exit 1 (sh: set_params:1416: Unable to install hw params:)');
});

test('the capture program runs in English, and its last line determines the fault, however much it wrote before', async () => {
  vi.stubEnv('LC_ALL', 'fr_FR.UTF-8');
  onTestFinished(() => void vi.unstubAllEnvs());
  const script = 'yes ALSA lib search | head -c 9000; test "$LC_ALL" = C || exit; echo audio open error: Device or resource busy';
  await expect(drain(`{ ${script}; } >&2`, 5)).rejects.toMatchObject({ fault: 'busy' });
});

test.each<[MicrophoneFault, string, RegExp]>([
  ['busy', 'echo audio open error: Device or resource busy >&2', /^sudo fuser .* sudo systemctl stop tocsin-listener$/],
  ['unplugged', `head -c 3200 ${file}; echo read error: Input/output error >&2`, /^plug it in/],
  ['absent', 'echo audio open error: No such file or directory >&2', /^try$/], // given by the caller
  ['failed', `head -c 3200 ${file}`, /^try$/],
])('the hint says what to try when the fault is %s', async (fault, script, tryHint) => {
  const error = await drain(script, 5).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ fault, tryHint: expect.stringMatching(tryHint) });
  if (fault === 'busy' || fault === 'unplugged') expect(frenchErrors).toHaveProperty([(error as CaptureError).tryHint]);
});

/** The sockets of this process. */
const sockets = () =>
  readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:') ? [Number(name)] : [];
    } catch {
      return []; // the descriptor that reads the folder
    }
  });

// of stderr only its loss is reported, as where there is no memory for it; the sound is heard to its end
test.each([
  ['the sound', 'ECONNRESET'],
  ['stderr', 'exit 0'],
])('a read error of the kernel on the socket of %s is a fault of the capture, not a defect', async (which, message) => {
  const isSound = (fd: number) =>
    (Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8) & constants.O_NONBLOCK) === 0;
  const before = sockets();
  // a process that ends with unread data leaves ECONNRESET to the other one (unix(7)); only a test writes to this
  // socket
  const heard = () => sockets().forEach((fd) => void (!before.includes(fd) && isSound(fd) === (which === 'the sound') && writeSync(fd, 'x')));
  await expect(drain(`head -c 3200 ${file}; sleep 1`, 30, heard)).rejects.toMatchObject({ fault: 'failed', message: expect.stringContaining(message) });
});

test('sockets that cannot be set up as they must be are closed again', () => {
  const before = sockets();
  expect(() => socketPair(-1, 1000)).toThrow('no two connected sockets (errno 33)'); // a negative time: EDOM
  expect(sockets()).toEqual(before);
});

test('a capture that repeatedly gives 0.1 s of sound and then none for 1 s is stuck', async () => {
  let frames = 0;
  const heard = () => void frames++;
  await expect(drain(`while :; do head -c 3200 ${file}; sleep 1; done`, 2, heard)).rejects.toMatchObject({
    fault: 'stuck',
    message: expect.stringContaining('no sound for 2 s of the last 4 s'),
  });
  expect(frames).toBeGreaterThan(1);
});

test('a stall of the reader while it waits does not make the microphone stuck', async () => {
  let frames = 0;
  const standStill = () => {
    const until = performance.now() + 1500;
    while (performance.now() < until);
  };
  // in the middle of the next read
  const heard = () => void (++frames === 3 && setTimeout(standStill, 50));
  // more sound than time, since a busy machine makes the pauses longer
  const script = `for n in 1 2 3 4 5 6; do head -c 32000 ${file}; sleep 0.5; done`;
  await expect(drain(script, 1, heard)).rejects.toMatchObject({ fault: 'failed', message: expect.stringContaining('exit 0') });
});

test('a stuck capture is reported before a child process that keeps its stderr open ends', async () => {
  const ended = join(mkdtempSync(join(tmpdir(), 'tocsin-stuck-')), 'ended');
  await expect(drain(`(sleep 20; touch ${shellWord(ended)}) >/dev/null & exec sleep 20`, 0.5)).rejects.toMatchObject({
    fault: 'stuck',
    message: expect.stringContaining('no sound for 0.5 s'),
  });
  expect(existsSync(ended)).toBe(false);
});

test('a capture that cannot be killed is reported, and no other is started until it has ended', async () => {
  const script = 'exec sleep 61.4142';
  const running = () =>
    readdirSync('/proc').filter((id) => {
      try {
        return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, 'utf8') === 'sleep\0' + '61.4142\0';
      } catch {
        return false;
      }
    });
  // stands in for a process that waits in a driver: the kill has no effect
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

test('with two channels, samples at full scale in either channel are counted', async () => {
  const left = Int16Array.from({ length: 9600 }, (_, i) => (i % 2 ? 0 : i % 4 ? 32767 : -32768)); // left and right alternate
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-clipped-')), 'sound');
  writeFileSync(path, Buffer.from(left.buffer));
  const told = async (channels: 1 | 2) => {
    const options = {
      command: 'sh',
      args: ['-c', 'cat "$0"', path],
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
  expect(await told(1)).toBeUndefined(); // the samples show it
});
