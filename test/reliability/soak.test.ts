import { expect, test } from 'vitest';
import { missing } from '../support/broker.ts';
import { soak } from './soak.ts';

// for hours: node test/reliability/soak.ts 600
const reason = missing('mosquitto');
test.skipIf(reason)(
  `a soak of one minute with random faults accounts for every event id${reason ? ` (left out: ${reason})` : ''}`,
  { timeout: 300_000 },
  async () => {
    const result = await soak(1, 4, () => undefined);
    process.stdout.write(`soak: ${JSON.stringify(result)}\n`);
    expect(result.stored).toBeGreaterThan(20);
    expect(Object.keys(result.faults).length).toBeGreaterThan(5);
    expect(result.missing).toBe(0);
    expect(result.confused).toBe(0);
    expect(result.mistimed).toBe(0);
    // a planted fault was named
    const planted = Object.keys(result.faults).filter((name) => name.startsWith('microphone'));
    expect(planted.length).toBeGreaterThan(0);
    expect(Object.keys(result.named).length).toBeGreaterThan(0);
  },
);
