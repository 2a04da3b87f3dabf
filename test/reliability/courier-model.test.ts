import { afterAll, expect, test, vi } from 'vitest';
import { seededRandom } from '../support/random.ts';
import { CourierTrial, counts, weights } from './courier-trial.ts';
import { drawSequence, runOrShorten } from './random-steps.ts';

vi.mock('../../agent/lib/sleep.ts', () => import('../support/timed-sleep.ts'));

// TOCSIN_SEQUENCES=10000 npx vitest run test/reliability/courier-model.test.ts
const sequences = Number(process.env.TOCSIN_SEQUENCES ?? 30);

test(`the courier loses no event, keeps the order and sends no more than it may in ${sequences} random sequences`, {
  timeout: 120_000 + sequences * 5000,
}, async () => {
  for (let seed = 1; seed <= sequences; seed++)
    await runOrShorten(drawSequence(seed, 5 + ((seed * 37) % 80), weights), async ({ choice, steps }) => {
      const trial = new CourierTrial(choice, seededRandom(seed + 1));
      try {
        for (const step of steps) await trial.step(step);
        await trial.finish();
      } finally {
        await trial.end();
      }
    });
});

afterAll(() => {
  process.stdout.write(`courier: ${JSON.stringify(counts)}\n`);
  if (sequences < 30) return;
  for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0);
});
