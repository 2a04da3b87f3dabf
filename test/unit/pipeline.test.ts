import { expect, test, vi } from 'vitest';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import type { Classifier } from '../../agent/classify/classifier.ts';
import { labels } from '../../agent/classify/model-manifest.ts';
import type { RecordedEvent } from '../../agent/events/event.ts';
import { AudioError } from '../../agent/lib/errors.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { hear, type ListenParts, listen } from '../../agent/pipeline.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

const frameOf = (windows: number, glass: number) => ({ scores: [glass, 0, 0], endSeconds: windows * 0.04, scoredSeconds: windows * 0.04 });
// A fake on windows of 40 ms: every loud sound is glass. It shows where sounds are placed, not what is recognised.
function loudness(): Classifier {
  let held: number[] = [];
  let windows = 0;
  return {
    sampleRate: 16000,
    frameSeconds: 0.04,
    tailSeconds: 0.32,
    async push(samples) {
      held.push(...samples);
      const frames = [];
      for (; held.length >= 640; held = held.slice(640)) {
        const score = Math.max(...held.slice(0, 640)) > 0.5 ? 1 : 0;
        frames.push(frameOf(++windows, score));
      }
      return frames;
    },
    reset() {
      held = [];
      windows = 0;
    },
    close: async () => undefined,
  };
}
/** The same classifier, a quarter of a second late, like a model that needs later sound to decide. */
function late(): Classifier {
  const inner = loudness();
  let held: Awaited<ReturnType<Classifier['push']>> = [];
  return {
    ...inner,
    async push(samples) {
      held = [...held, ...(await inner.push(samples))];
      return held.splice(0, held.length - 6);
    },
    reset() {
      inner.reset();
      held = [];
    },
  };
}
const rule = { open: 0.5, close: 0.4, minDurationSeconds: 0.08, mergeSeconds: 0.2, cooldownSeconds: 0.2, smoothingSeconds: 0.04 };
const rules = Object.fromEntries(labels.map((label) => [label, rule])) as Parameters<typeof hear>[2];
const manifestOf = (labels: typeof rules) =>
  ({ name: 'street', version: '0.1.0', operatingPoints: { balanced: { labels } } }) as unknown as ListenParts['classifier']['manifest'];

function source(frames: { first: number; value: number }[]): AudioSource {
  async function* all(): AsyncGenerator<AudioFrame> {
    for (const { first, value } of frames) yield { samples: new Float32Array(1600).fill(value), firstSample: first };
  }
  return { sampleRate: 16000, dropped: 0, frames: all };
}

test('after lost samples, sounds keep their true times, and a sound across the gap becomes two events', async () => {
  const quiet = (from: number) => Array.from({ length: 10 }, (_, i) => ({ first: from + i * 1600, value: 0 }));
  const loud = (from: number) => [0, 1600].map((i) => ({ first: from + i, value: 0.9 }));
  const onsets: number[] = [];
  const ended: number[] = [];
  const gap = 80_000; // five seconds
  const frames = [...quiet(0), ...loud(16_000), ...loud(19_200 + gap), ...quiet(22_400 + gap)];
  const on = {
    confirmed: (h: { detection: { onsetSeconds: number } }) => onsets.push(h.detection.onsetSeconds),
    ended: (d: { offsetSeconds: number }) => ended.push(d.offsetSeconds),
  };
  const { secondsHeard } = await hear(source(frames), loudness(), rules, on, new AbortController().signal);
  expect(onsets).toHaveLength(2);
  expect(onsets[0]).toBeCloseTo(1, 1);
  expect(onsets[1]).toBeCloseTo(6.2, 1);
  expect(ended).toHaveLength(2);
  expect(secondsHeard).toBeCloseTo((38_400 + gap) / 16000, 5);
});

test('a sound just before a loss, the end or a microphone fault is reported; before a model failure it is lost', async () => {
  const before = [...Array.from({ length: 10 }, (_, i) => ({ first: i * 1600, value: 0 })), { first: 16_000, value: 0.9 }];
  const told = async (frames: typeof before, fault?: Error) => {
    const onsets: number[] = [];
    const stopped: AudioSource = {
      ...source(frames),
      async *frames(signal) {
        yield* source(frames).frames(signal);
        if (fault) throw fault;
      },
    };
    const on = { confirmed: (h: { detection: { onsetSeconds: number } }) => onsets.push(Math.round(h.detection.onsetSeconds * 10) / 10) };
    const heard = hear(stopped, late(), rules, on, new AbortController().signal);
    if (fault) await expect(heard).rejects.toBe(fault);
    else await heard;
    return onsets;
  };
  expect(await told(before)).toEqual([1]);
  expect(await told([...before, { first: 80_000, value: 0 }])).toEqual([1]);
  expect(await told(before, new AudioError('unplugged', 'plug it in'))).toEqual([1]);
  expect(await told(before, new Error('the model fails'))).toEqual([]);
});

test('the level of an event is independent of the delay of its score and of the frame length', async () => {
  const levels = async (length: number) => {
    const found: number[] = [];
    const sound = new Float32Array(32_000).fill(0.001).fill(0.9, 16_000, 17_600);
    const read: AudioSource = {
      ...source([]),
      async *frames() {
        for (let first = 0; first < sound.length; first += length) yield { samples: sound.slice(first, first + length), firstSample: first };
      },
    };
    await hear(read, late(), rules, { confirmed: (h) => found.push(h.aboveBackgroundDb) }, new AbortController().signal);
    return found.map((level) => level.toFixed(3));
  };
  const one = await levels(320);
  expect(one).toHaveLength(1);
  for (const length of [1600, 2000, 8000, 16_000]) expect(await levels(length), `${length} samples at once`).toEqual(one);
});

test('the sound pressure level of a sound just before a gap does not include sound after the gap', async () => {
  const levelWith = async (behind: Float32Array) => {
    const events: RecordedEvent[] = [];
    const captured: AudioSource = {
      ...source([]),
      async *frames() {
        for (let i = 0; i < 11; i++)
          yield { samples: Float32Array.from({ length: 1600 }, (_, at) => (i < 10 ? 0 : 0.6 * Math.sin(at))), firstSample: i * 1600 };
        yield { samples: behind, firstSample: 80_000 };
      },
    };
    await listen(
      { model: { path: '', operatingPoint: 'balanced', open: {} }, microphone: { splAtFullScaleDb: 100 } as never },
      {
        source: captured,
        classifier: { ...late(), manifest: manifestOf(rules) },
        outbox: { append: (event: RecordedEvent) => void events.push(event) } as unknown as Outbox,
        clock: fixedClock({}),
        logger: silentLogger,
      },
      new AbortController().signal,
    );
    return events[0]?.soundPressureLevelDb;
  };
  const quiet = await levelWith(new Float32Array(1600));
  expect(quiet).toBeGreaterThan(80);
  expect(await levelWith(new Float32Array(8000))).toBe(quiet);
  expect(await levelWith(Float32Array.from({ length: 8000 }, (_, at) => Math.sin(at)))).toBe(quiet);
});

test('the levels of an event include its beginning, even if its onset is placed a moment late', async () => {
  const events: RecordedEvent[] = [];
  const tone = (amplitude: number, at: number) => amplitude * Math.sin((2 * Math.PI * 1000 * at) / 16000);
  const amplitudeAt = (seconds: number) => (seconds < 0.1 ? 1 : seconds < 1.08 ? 0.001 : seconds < 1.12 ? 1 : 0.1); // a longer blow a second before; a blow, its ringing
  const captured: AudioSource = {
    ...source([]),
    async *frames() {
      for (let first = 0; first < 32_000; first += 640)
        yield { samples: Float32Array.from({ length: 640 }, (_, i) => tone(amplitudeAt((first + i) / 16000), first + i)), firstSample: first };
    },
  };
  let windows = 0; // each is one frame of sound
  const hesitant: Classifier = { ...loudness(), push: async () => [frameOf(++windows, windows > 32 ? 1 : 0)] };
  await listen(
    { model: { path: '', operatingPoint: 'balanced', open: {} }, microphone: { splAtFullScaleDb: 100 } as never },
    {
      source: captured,
      classifier: { ...hesitant, manifest: manifestOf({ ...rules, glass_break: { ...rule, minDurationSeconds: 0.24 } }) },
      outbox: { append: (event: RecordedEvent) => void events.push(event) } as unknown as Outbox,
      clock: fixedClock({}),
      logger: silentLogger,
    },
    new AbortController().signal,
  );
  expect(events[0]?.levelAboveBackgroundDb).toBeCloseTo(55, 0); // 40 for the ringing alone
  expect(events[0]?.soundPressureLevelDb).toBeCloseTo(94.4, 0); // 90 one step later
});

test('an event is stamped with the onset of its sound by both clocks, not with the time of confirmation', async () => {
  const time = { ms: 5000 };
  const wallBeganMs = Date.UTC(2026, 10, 20, 10);
  const events: RecordedEvent[] = [];
  const captured: AudioSource = {
    ...source([]),
    async *frames() {
      for (let i = 0; i < 40; i++) {
        time.ms = 7000 + (i + 1) * 100 + (i < 12 ? 0 : 500); // it opens after two seconds; later the reader is half a second late
        yield { samples: new Float32Array(1600).fill(i >= 10 && i < 30 ? 0.9 : 0), firstSample: i * 1600 };
      }
    },
  };
  await listen(
    { model: { path: '', operatingPoint: 'balanced', open: {} }, microphone: {} as never },
    {
      source: captured,
      classifier: { ...loudness(), manifest: manifestOf({ ...rules, glass_break: { ...rule, minDurationSeconds: 0.8 } }) },
      outbox: { append: (event: RecordedEvent) => void events.push(event) } as unknown as Outbox,
      clock: fixedClock({ monotonicMs: () => time.ms, wallMs: () => wallBeganMs + time.ms }),
      logger: silentLogger,
    },
    new AbortController().signal,
  );
  expect(events).toHaveLength(1);
  expect(Math.abs((events[0]?.onsetMonotonicMs ?? 0) - 8000)).toBeLessThan(50);
  expect(events[0]?.onsetWallMs).toBeCloseTo(wallBeganMs + (events[0]?.onsetMonotonicMs ?? 0), 3);
});

test.each(['stored', 'held', 'refused'] as const)('for an event that is %s, no log line reveals what was heard, and the hour counts it', async (fate) => {
  const lines: string[] = [];
  const keep = (...said: unknown[]) => void lines.push(JSON.stringify(said));
  const [append, recognised] = [vi.fn(() => fate), vi.fn()];
  await listen(
    { model: { path: '', operatingPoint: 'balanced', open: {} }, microphone: {} as never },
    {
      source: source(Array.from({ length: 20 }, (_, i) => ({ first: i * 1600, value: i < 10 ? 0 : 0.9 }))),
      classifier: { ...loudness(), manifest: manifestOf(rules) },
      outbox: { append } as unknown as Outbox,
      clock: fixedClock({}),
      hour: { recognised, level: () => undefined },
      logger: { debug: keep, info: keep, warn: keep, error: keep },
    },
    new AbortController().signal,
  );
  expect([append.mock.calls.length, recognised.mock.calls]).toEqual([1, [['glass_break']]]);
  expect(lines.filter((line) => /glass|label|confidence|score/.test(line))).toEqual([]);
  expect(lines.filter((line) => line.includes('event'))).toHaveLength(fate === 'stored' ? 0 : 1);
});

test('after a model failure no sound is kept: resampled samples are zeros, and the model last receives silence', async () => {
  const handed: Float32Array[] = [];
  const heard: (boolean | 'reset')[] = [];
  const failing = loudness();
  const classifier: Classifier = {
    ...failing,
    reset: () => void heard.push('reset'),
    push(samples) {
      handed.push(samples);
      heard.push(samples.some((sample) => sample !== 0));
      return handed.length === 3 ? Promise.reject(new Error('the model fails')) : failing.push(samples);
    },
  };
  const loud = [0, 1, 2, 3].map((i) => ({ first: i * 1600, value: 0.9 }));
  await expect(hear(source(loud), classifier, rules, {}, new AbortController().signal)).rejects.toThrow('the model fails');
  expect(heard).toEqual([true, true, true, 'reset', false, 'reset']);
  expect(handed.every((samples) => samples.every((sample) => sample === 0))).toBe(true);
  expect(handed.at(-1)?.length).toBe(16_000); // more than a window
});

test.each([
  ['the stream', undefined],
  ['a failing capture', new AudioError('Expected sound, got the end', 'plug it in')],
])('at the end of %s the last sound is still judged, and then overwritten with zeros', async (_, failure) => {
  const handed: Float32Array[] = [];
  const heard: boolean[] = [];
  const inner = loudness();
  const classifier: Classifier = {
    ...inner,
    push(samples) {
      handed.push(samples);
      heard.push(samples.some((sample) => sample !== 0));
      return inner.push(samples);
    },
  };
  const loud: AudioSource = {
    sampleRate: 48_000,
    dropped: 0,
    async *frames() {
      for (let i = 0; i < 3; i++) yield { samples: new Float32Array(4800).fill(0.9), firstSample: i * 4800 };
      if (failure) throw failure;
    },
  };
  const ended = hear(loud, classifier, rules, {}, new AbortController().signal);
  if (failure) await expect(ended).rejects.toBe(failure);
  else await ended;
  expect(heard).toEqual([true, true, true, true, false]); // the end was still in the resampler
  expect(handed.every((samples) => samples.every((sample) => sample === 0))).toBe(true);
});

test.each([
  ['5 ms', 80, 1],
  ['200 ms', 3200, 1],
  ['one sample more', 3201, 2],
])('a sound that continues across a loss of %s (%i samples) is %i event(s)', async (_, lost, sounds) => {
  const patient = { ...rules, glass_break: { ...rule, mergeSeconds: 0.4, cooldownSeconds: 0 } };
  const found: number[] = [];
  const frames = Array.from({ length: 30 }, (_, i) => ({ first: i * 1600 + (i < 15 ? 0 : lost), value: i >= 10 && i < 25 ? 0.9 : 0 }));
  await hear(source(frames), loudness(), patient, { confirmed: (h) => found.push(h.detection.onsetSeconds) }, new AbortController().signal);
  expect(found).toHaveLength(sounds);
  expect(found[0]).toBeCloseTo(1, 1);
});

test('a microphone rate below the model rate is a configuration error, so that the supervisor does not retry', async () => {
  const slow = { ...source([]), sampleRate: 8000 };
  await expect(hear(slow, loudness(), rules, {}, new AbortController().signal)).rejects.toThrow(
    expect.objectContaining({ name: 'ConfigError', message: 'Expected sound of at least 16000 Hz, as the model takes, got 8000 Hz' }),
  );
});
