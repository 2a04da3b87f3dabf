import { openHourMeter } from '../../agent/events/hour-meter.ts';
import type { HourSummary } from '../../agent/events/summary.ts';
import { fixedClock } from './samples.ts';

const model = { name: 'street', version: '0.1.0' };

/** An hourly meter on a simulated clock, fed 8 steps a second at a level. */
export function metered(startWallMs: number, synchronised = true) {
  const time = { wallMs: startWallMs, monotonicMs: 50_000, synchronised };
  const clock = fixedClock({ wallMs: () => time.wallMs, monotonicMs: () => time.monotonicMs, synchronised: () => time.synchronised });
  const hours: HourSummary[] = [];
  const meter = openHourMeter(clock, { model }, (summary) => hours.push(summary));
  let listened = 0;
  const pass = (seconds: number, fastDb?: number) => {
    for (let i = 0; i < seconds; i++) {
      time.wallMs += 1000;
      time.monotonicMs += 1000;
      if (fastDb !== undefined) {
        listened++;
        for (let step = 0; step < 8; step++) meter.level(fastDb, 10 ** (fastDb / 10) / 2);
      }
      meter.tick(listened);
    }
  };
  return { time, hours, meter, pass };
}
