import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';

// Every buffer that a pipe's bytes come in, as Node hands it to the stream. What Node keeps of them beneath is looked for in
// test/e2e/memory.test.ts.
const pushed: Buffer[] = [];
const { push } = Readable.prototype;
Readable.prototype.push = function (chunk: unknown, ...more: never[]) {
  if (Buffer.isBuffer(chunk)) pushed.push(chunk);
  return push.call(this, chunk, ...more);
};
afterAll(() => {
  Readable.prototype.push = push;
});

const bytes = 600_000;
const open = (script: string) =>
  openPcmProcess({ command: 'sh', args: ['-c', script], sampleRate: 48_000, silenceTimeoutSeconds: 30, tryHint: 'none', monotonicMs: () => performance.now() });
const isSound = (chunk: Buffer) => chunk.some((byte) => byte !== 0);

test('a reader that is slower than the pipe gets all of the sound, and leaves none of it behind', async () => {
  pushed.length = 0;
  let samples = 0;
  const whole = open(`head -c ${bytes} /dev/zero | tr '\\0' x`).frames(new AbortController().signal);
  const ended = (async () => {
    for await (const frame of whole) {
      expect(frame.samples.every((sample) => sample === 0x7878 / 32768)).toBe(true);
      samples += frame.samples.length;
      await delay(30);
    }
  })();
  await expect(ended).rejects.toThrow('exit 0');
  expect(samples).toBe(bytes / 2);
  expect(pushed.length).toBeGreaterThan(3);
  expect(pushed.filter(isSound)).toEqual([]);
});

test('one that stops in the middle leaves none either', async () => {
  pushed.length = 0;
  const stop = new AbortController();
  for await (const _frame of open(`head -c ${bytes} /dev/zero | tr '\\0' x; sleep 30`).frames(stop.signal)) {
    await delay(100); // more has come meanwhile
    break;
  }
  stop.abort();
  expect(pushed.length).toBeGreaterThan(1);
  expect(pushed.filter(isSound)).toEqual([]);
});
