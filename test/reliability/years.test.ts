import { expect, test, vi } from 'vitest';
import { seededRandom } from '../support/random.ts';
import { dayMs } from './outbox-model.ts';
import { expectThat } from './random-steps.ts';
import { hourMs, YearsTrial } from './years-trial.ts';

vi.mock('../../agent/lib/sleep.ts', () => import('../support/timed-sleep.ts'));

// TOCSIN_YEARS=whole npx vitest run test/reliability/years.test.ts
const isWhole = process.env.TOCSIN_YEARS === 'whole';
/** One day of `every` goes by in steps, with so many events; the others go by at once. `often` makes up for what happens in them. */
const pace: { every: number; stepMs: number; events: readonly [number, number]; often: number } = isWhole
  ? { every: 1, stepMs: hourMs / 6, events: [20, 200], often: 1 }
  : { every: 40, stepMs: 3 * hourMs, events: [10, 60], often: 24 };
const levelsAStep = isWhole ? 4800 : 1800;

/** The most rows of each table and bytes of each file, however old the sensor is. */
const bounds: Record<string, number> = {
  outbox: 1,
  label: 3,
  boot: 66,
  model: 64,
  event: 7000,
  sqlite_sequence: 2,
  gap: 40,
  fate: 6,
  hearing: 1,
  usual_level: 24,
  hour_summary: 801,
  listening_day: 60,
  would_be_event: 180,
  recent: 61,
  file: 1_000_000,
  'file-wal': 4_000_000,
  'file-shm': 65_536,
  'file.ballast': 1_000_000,
  'file.schema': 20_000,
  'file.damaged': 3_000_000,
  'file.damaged-wal': 4_000_000,
  'file.lock': 0,
};

function expectBounded(trial: YearsTrial): void {
  const sizes = trial.sizes();
  if (isWhole)
    process.stdout.write(
      `${new Date().toISOString()} ${JSON.stringify({ boots: trial.boots, ...trial.broker.counts, ...sizes, heapMb: Math.round(process.memoryUsage().heapUsed / 1e6) })}\n`,
    );
  for (const [name, size] of Object.entries(sizes)) expectThat(size <= (bounds[name] ?? 0), `${name} grows`, size, bounds[name]);
}

async function live(trial: YearsTrial, random: () => number, days: number): Promise<void> {
  const often = (share: number) => random() < share * pace.often;
  const steps = dayMs / pace.stepMs;
  let outageDays = 0;
  let stepsSetBack = 0;
  for (let day = 0; day < days; day += pace.every) {
    const events = pace.events[0] + (pace.events[1] - pace.events[0]) * random() ** 2;
    for (let step = 0; step < steps; step++) {
      await trial.step(pace.stepMs, Math.floor(events / steps + random()), levelsAStep);
      if (stepsSetBack > 0 && --stepsSetBack === 0) trial.setClock(0);
      if (trial.broker.isDown && outageDays < 1 && random() < 0.3) await trial.outage(false);
    }
    if (pace.every > 1) await trial.step((pace.every - 1) * dayMs, 0, 0);
    outageDays -= pace.every;
    if (trial.broker.isDown && outageDays <= 0) await trial.outage(false);
    if (!trial.broker.isDown && often(0.03)) {
      outageDays = random() < 0.7 ? 0.5 : random() < 0.9 ? 5 : 90;
      await trial.outage(true);
    }
    if (often(0.04)) await trial.reboot((['order', 'kill', 'cut', 'cut', 'loseLog'] as const)[Math.floor(random() * 5)] ?? 'cut', random() ** 3 * 3 * dayMs);
    if (often(0.0015)) await trial.reboot('damage', 1000);
    if (often(0.03)) await trial.restart('courier');
    if (often(0.04)) await trial.restart('listener', `1.${day}.0`);
    if (often(0.01)) {
      trial.setClock(-Math.round(random() ** 3 * 40 * dayMs));
      stepsSetBack = 3;
    }
    if (Math.floor(day / 365) < Math.floor((day + pace.every) / 365)) expectBounded(trial);
  }
  await trial.drain();
  expectBounded(trial);
}

test('in ten years nothing grows, and each event arrives at its right time or marked, or is named in a gap', {
  timeout: isWhole ? 36_000_000 : 300_000,
}, async () => {
  const random = seededRandom(5);
  const trial = new YearsTrial({ fromMs: Date.UTC(2028, 10, 28) }, random);
  try {
    await live(trial, random, 3653);
    process.stdout.write(`ten years: ${JSON.stringify({ boots: trial.boots, ...trial.broker.counts })}\n`);
    const { events, again, gaps, corrected, unsynchronised } = trial.broker.counts;
    for (const count of [events / 500, again, gaps, corrected, unsynchronised, trial.boots / 64]) expect(count).toBeGreaterThan(1);
  } finally {
    await trial.end();
  }
});

test('the same holds in the year 2106, ten years after the last boot, with numbers beyond 32 bits', { timeout: 300_000 }, async () => {
  const random = seededRandom(6);
  const trial = new YearsTrial({ fromMs: Date.UTC(2105, 10, 1), uptimeMs: 3653 * dayMs, newest: 2 ** 32 - 100 }, random);
  try {
    await live(trial, random, 240);
    process.stdout.write(`2106: ${JSON.stringify({ boots: trial.boots, ...trial.broker.counts })}\n`);
    expect(trial.broker.counts.events).toBeGreaterThan(100);
  } finally {
    await trial.end();
  }
});
