import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AudioSource } from '../../agent/audio/frame.ts';
import { loadModel, recognitionOf } from '../../agent/classify/model-manifest.ts';
import { hearStreet } from '../../agent/cli/run/hearing.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { ModelError } from '../../agent/lib/errors.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { fixedClock, limits } from '../support/samples.ts';

const sampleRate = 16000;
const tenth = (sound: (i: number) => number) => Float32Array.from({ length: sampleRate / 10 }, (_, i) => sound(i));
const sounds = {
  sound: tenth((i) => 0.01 * Math.sin((i * Math.PI) / 8)),
  clipped: tenth((i) => (i % 2 ? 32767 / 32768 : -1)),
  flat: tenth(() => 0.1),
};
const nothing = () => undefined;
const journalOf = (lines: string[]): Logger => {
  const tell = (_fields: object, message: string) => void lines.push(message);
  return { debug: tell, info: tell, warn: tell, error: tell };
};

/**
 * What a listener leaves in its outbox. The microphone gives the next stretch each time it is opened, on a clock
 * driven by the sound. There is no model.
 */
async function listened(
  ...stretches: { sound: keyof typeof sounds; seconds: number; writeSeconds?: number; intervalSeconds?: number; timeKnown?: boolean; failsAt?: number }[]
) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-hearing-'));
  const path = join(folder, 'outbox.db');
  const microphone = { silenceTimeoutSeconds: 60, sampleRateHz: sampleRate };
  const health = { intervalSeconds: stretches[0]?.intervalSeconds ?? 600 };
  const config = checkConfig({ site: 'test', sensor: 'post-1', mqtt: { url: 'mqtt://localhost' }, outbox: { path }, microphone, health }, 'test');
  const outbox = openSqliteOutbox(path, limits);
  const stop = new AbortController();
  const journal: string[] = [];
  const writes: [kind: string, seconds: number][] = [];
  const { timeKnown = true, failsAt = Number.POSITIVE_INFINITY } = stretches[0] ?? {};
  let nowMs = 0;
  let frames = 0;
  let writeMs = 0; // the time that each write of the listener takes
  for (const kind of ['writeHearing', 'writeSummary', 'addThresholdCounts', 'noteBoot'] as const) {
    const write = outbox[kind] as (...of: unknown[]) => void;
    outbox[kind] = (...of: unknown[]) => {
      writes.push([kind, nowMs / 1000]);
      nowMs += writeMs;
      write.apply(outbox, of);
    };
  }
  const open = async (): Promise<AudioSource> => ({
    sampleRate,
    dropped: 0,
    async *frames() {
      const { sound, seconds, writeSeconds = 0 } = stretches.shift() ?? { sound: 'sound', seconds: 0 };
      writeMs = writeSeconds * 1000;
      for (let i = 0; i < seconds * 10; i++) {
        nowMs += 100;
        yield { samples: sounds[sound].slice(), firstSample: i * (sampleRate / 10) };
      }
      if (stretches.length === 0) stop.abort();
    },
  });
  const { manifest } = loadModel('models/street');
  const frame = () => ({ scores: [0, 0, 0], endSeconds: ++frames / 10, scoredSeconds: frames / 10 });
  const classifier = {
    sampleRate,
    frameSeconds: 0.1,
    tailSeconds: 1,
    push: async () => {
      if (nowMs >= failsAt * 1000) throw new ModelError('Expected finite numbers, got others', 'export it anew');
      return [frame()];
    },
    reset: nothing,
    close: async () => undefined,
    manifest,
  };
  let [pingedMs, longestQuietMs] = [0, 0];
  const progress = () => {
    longestQuietMs = Math.max(longestQuietMs, nowMs - pingedMs);
    pingedMs = nowMs;
  };
  const notifier = { ready: nothing, progress, stopping: nothing, status: nothing };
  const clock = fixedClock({ monotonicMs: () => nowMs, wallMs: () => Date.UTC(2026, 10, 20, 10, 30) + nowMs, synchronised: () => timeKnown });
  const hearing = hearStreet(config, { open, classifier, outbox, notifier, clock, logger: journalOf(journal) }, stop.signal);
  if (failsAt < Number.POSITIVE_INFINITY) await expect(hearing).rejects.toThrow(ModelError);
  else await hearing;
  const view = viewOutbox(path);
  const left = {
    usual: outbox.readUsualLevels(),
    days: view.listeningDays(),
    hours: outbox.summaries(9),
    hearing: outbox.readHearing(),
    journal,
    writes,
    longestQuietMs,
  };
  view.close();
  outbox.close();
  return left;
}

test('a listener stores levels, the usual level of the hour and its listening time for thresholds', async () => {
  const { usual, days, hours } = await listened({ sound: 'sound', seconds: 960 });
  expect(usual).toMatchObject([{ hour: 10 }]);
  expect(days).toMatchObject([{ recognition: recognitionOf(loadModel('models/street').manifest) }]);
  expect(days.map(({ seconds }) => Math.round(seconds / 10))).toEqual([96]);
  expect(hours[0]?.levels?.la90).toBeCloseTo(-40, 0);
});

test('while the time is not known, nothing is learnt of the hours of a day, and days of listening have no date', async () => {
  const { usual, days } = await listened({ sound: 'sound', seconds: 960, timeKnown: false });
  expect([usual, days.map(({ firstUtcDay }) => firstUtcDay)]).toEqual([[], [undefined]]);
});

test('once an hour its summary, health and the listening time for thresholds are stored at the same moment', async () => {
  const { writes } = await listened({ sound: 'sound', seconds: 10_000, intervalSeconds: 1200 });
  const of = (wanted: string) => writes.flatMap(([kind, seconds]) => (kind === wanted ? [seconds] : []));
  const summaries = of('writeSummary').slice(0, -1); // the last is that of the stop
  expect(summaries.map((seconds) => Math.round(seconds / 60))).toEqual([30, 90, 150]); // it began in the middle of an hour
  expect(of('writeHearing')).toEqual(expect.arrayContaining(summaries));
  expect(of('writeHearing').length, 'no more health for it').toBeLessThanOrEqual(12);
  expect(of('addThresholdCounts').slice(0, -1)).toEqual(summaries);
});

test('what a listener heard since its last report counts also where its model ends it', async () => {
  const { hearing, hours } = await listened({ sound: 'sound', seconds: 960, intervalSeconds: 1200, failsAt: 900 });
  expect(hearing?.state).toBe('listening');
  expect(hearing?.listenedSeconds).toBeCloseTo(900, -1);
  expect(hours[0]?.listenedSeconds).toBeCloseTo(900, -1);
});

test('clipped sound counts as listening time, but not as a usual level', async () => {
  const { usual, days, hearing } = await listened({ sound: 'clipped', seconds: 960 });
  expect(hearing?.fault).toBe('clipped');
  expect(usual).toEqual([]);
  expect(days.map(({ seconds }) => Math.round(seconds / 10))).toEqual([96]);
});

test('flat sound does not count as listening time and gives no usual level', async () => {
  const flat = { sound: 'flat', seconds: 400 } as const; // given up after one minute, as configured
  const { usual, days, hours, hearing, journal } = await listened({ sound: 'sound', seconds: 100 }, flat, flat, { ...flat, seconds: 50 });
  expect(hearing).toMatchObject({ fault: 'flat', opens: 4 });
  const ends = 'stopped listening'; // ends the first and the last stretch
  // and no line for each opening
  expect(journal).toEqual(['starting to listen', 'the clock is right', 'hearing', ends, 'not hearing; trying again', ends]);
  expect(days.map(({ seconds }) => Math.round(seconds / 10))).toEqual([16]);
  expect(usual).toEqual([]);
  expect(hours[0]?.elapsedSeconds).toBeCloseTo(270, -1);
  expect(hours[0]?.listenedSeconds).toBeCloseTo(100, -1);
  expect(hours[0]?.levels?.laeq).toBeCloseTo(-40 + 10 * Math.log10(100 / 160), 0); // the minute until the fault was found is included
});

test('at the full hour the listener pings the watchdog between its writes, on a disk that takes 20 s per write', async () => {
  const { hours, longestQuietMs } = await listened({ sound: 'sound', seconds: 20, writeSeconds: 20, intervalSeconds: 5 });
  expect(hours).not.toHaveLength(0);
  expect(longestQuietMs).toBeGreaterThan(19_000);
  expect(longestQuietMs).toBeLessThan(21_000);
});
