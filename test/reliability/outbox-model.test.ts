import { afterAll, expect, test } from 'vitest';
import { counts, OutboxTrial, weights } from './outbox-trial.ts';
import { drawSequence, runOrShorten } from './random-steps.ts';

// TOCSIN_SEQUENCES=10000 npx vitest run test/reliability/outbox-model.test.ts
const sequences = Number(process.env.TOCSIN_SEQUENCES ?? 30);

test(`the outbox behaves as the model of its port in ${sequences} random sequences`, {
  timeout: 120_000 + sequences * 5000,
}, async () => {
  for (let seed = 1; seed <= sequences; seed++)
    await runOrShorten(drawSequence(seed, 20 + ((seed * 37) % 140), weights), ({ choice, steps }) => {
      const trial = new OutboxTrial(choice);
      try {
        for (const step of steps) trial.step(step);
        trial.finish();
      } finally {
        trial.end();
      }
    });
});

afterAll(() => {
  process.stdout.write(`outbox: ${JSON.stringify(Object.fromEntries(counts))}\n`);
  if (sequences < 30) return;
  for (const what of [...Object.keys(weights), 'expired', 'refused', 'made room', 'older']) expect(counts.get(what), what).toBeGreaterThan(0);
});
