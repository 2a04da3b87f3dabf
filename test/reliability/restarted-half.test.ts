import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { toCloudEvent } from '../../agent/delivery/to-cloud-event.ts';
import { type Clock, openClock } from '../../agent/lib/clock.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { bootId, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const hour = 3_600_000;
const day = 24 * hour;
let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-time-')), 'outbox.db');
});

describe('a process that starts after twenty days, with the last clock evidence of day ten', () => {
  const beganMs = Date.UTC(2026, 10, 2, 12);
  /** The clocks of a board, and processes on it, each with its own outbox connection and clock. */
  function street() {
    let monotonic = 20 * day;
    let offset = 0;
    let setMs = beganMs + 10 * day;
    const wallMs = () => beganMs + monotonic + offset;
    const start = (change: Partial<Outbox> = {}, evidence: () => { setMs?: number } = () => ({ setMs })) => {
      const outbox = openSqliteOutbox(path, limits);
      onTestFinished(() => outbox.close());
      const clock = openClock({ bootId, wallMs, monotonicMs: () => monotonic, evidence });
      const of = <T>(value: T): T => (typeof value === 'function' ? value.bind(outbox) : value);
      const seen = new Proxy(outbox, { get: (target, name) => change[name as keyof Outbox] ?? of(target[name as keyof Outbox]) });
      return { outbox, clock, note: openBootNote(seen, clock, silentLogger) };
    };
    /** One minute, in which each process checks the clock once a second. */
    const pass = (...halves: { note(): void }[]) => {
      for (let second = 0; second < 60; second++) {
        monotonic += 1000;
        for (const half of halves) half.note();
      }
    };
    return {
      start,
      pass,
      jump: (ms: number) => {
        offset += ms;
      },
      /** A daemon finds that the clock is off by `driftedMs`, sets it and records that. */
      synchronise(driftedMs: number) {
        offset = driftedMs;
        setMs = wallMs();
      },
      heard: ({ clock }: { clock: Clock }) =>
        recordedEvent(0, { bootId, onsetWallMs: clock.wallMs(), onsetMonotonicMs: monotonic, clockSynchronised: clock.synchronised() }),
      truth: () => beganMs + monotonic,
    };
  }

  test('a process without clock evidence trusts the clock once the other process has recorded the boot start', () => {
    const { start, pass } = street();
    const listener = start({}, () => ({}));
    pass(listener);
    expect(listener.clock.synchronised()).toBe(false);
    const courier = start();
    pass(courier, listener);
    expect(listener.clock.synchronised()).toBe(true);
  });

  test('a process with outdated evidence trusts a clock step that the other process has recorded', () => {
    const { start, pass, synchronise, jump, truth } = street();
    let stale = false;
    let setMs = 0;
    const [listener, courier] = [start({}, () => (stale ? {} : { setMs })), start()];
    synchronise(0);
    setMs = truth();
    pass(listener, courier);
    expect(listener.clock.synchronised()).toBe(true);
    stale = true; // timesyncd was restarted: its folder is new, and the listener's mount still shows the old one
    synchronise(5000);
    pass(listener, courier);
    expect([listener.clock.synchronised(), courier.clock.synchronised()]).toEqual([true, true]);
    jump(-hour);
    pass(listener, courier);
    expect([listener.clock.synchronised(), courier.clock.synchronised()]).toEqual([false, false]);
  });

  test('an unreadable record is retried every ten seconds, not with each frame', () => {
    const { start, pass } = street();
    let tries = 0;
    const bootBegan = () => {
      tries++;
      throw new Error('the outbox cannot be opened');
    };
    pass(start({ bootBegan }));
    expect(tries).toBeLessThanOrEqual(7);
    expect(tries).toBeGreaterThan(4);
  });

  const jumps = [-9 * day, -day, -hour, -10_000, 10_000, hour, day, 9 * day];
  const orders = ['listener', 'courier', 'both'] as const;
  test.each(jumps.flatMap((ms) => orders.map((first) => [ms, first] as const)))(
    'after a jump by %i ms, %s restarted first: the clock is not trusted or recorded, and an event is corrected',
    (ms, first) => {
      const { start, pass, jump, synchronise, heard, truth } = street();
      let [listener, courier] = [start(), start()];
      const believed = () => [listener.clock.synchronised(), courier.clock.synchronised()];
      pass(listener, courier);
      expect(believed()).toEqual([true, true]);
      expect(listener.outbox.bootBegan(bootId)).toBe(beganMs);
      jump(ms);
      if (first !== 'both') pass(listener, courier);
      if (first !== 'courier') listener = start();
      if (first !== 'listener') courier = start();
      expect(believed()).toEqual([false, false]);
      pass(listener, courier);
      if (first === 'courier') listener = start();
      if (first === 'listener') courier = start();
      pass(listener, courier);
      expect(believed()).toEqual([false, false]);
      expect(courier.outbox.bootBegan(bootId), 'the record stays').toBe(beganMs);
      const heardMs = truth();
      listener.outbox.append(heard(listener));
      const [event] = courier.outbox.pending(0, 1);
      const sent = toCloudEvent(
        event as NonNullable<typeof event>,
        { outboxId: courier.outbox.id, site: 'a', sensor: 'b', historicalAfterSeconds: 60 },
        courier.clock,
      );
      expect([event?.clockSynchronised, sent.data.clock, sent.time]).toEqual([false, 'corrected', new Date(heardMs).toISOString()]);
      synchronise(8600);
      pass(listener, courier);
      expect(believed()).toEqual([true, true]);
      expect(courier.outbox.bootBegan(bootId), 'and is corrected by new evidence').toBe(beganMs + 8600);
    },
  );

  test('without a jump a restarted process trusts the clock at once and writes nothing, despite drift and a leap second', () => {
    const { start, pass, jump, synchronise } = street();
    const running = start();
    pass(running);
    jump(-1000);
    pass(running);
    expect(start().clock.synchronised(), 'a leap second').toBe(true);
    let writes = 0;
    for (let i = 1; i <= 14; i++) {
      synchronise(i * 8600); // a crystal off by 100 ppm, and a network once a day
      pass(running);
      expect(running.outbox.bootBegan(bootId)).toBe(beganMs + i * 8600);
      const restarted = start({ noteBoot: () => void writes++ });
      expect(restarted.clock.synchronised()).toBe(true);
      pass(restarted);
    }
    expect(writes).toBe(0);
    jump(-day);
    const late = start();
    expect(late.clock.synchronised()).toBe(false);
    jump(day);
    expect(late.clock.synchronised(), 'there and back').toBe(true);
  });

  test('an outbox that is unreadable at first is read later, and its recorded boot start does not change meanwhile', () => {
    const { start, pass, jump, synchronise } = street();
    pass(start());
    jump(day);
    let readable = false;
    const reader = start();
    const late = () =>
      start({
        bootBegan() {
          if (!readable) throw new Error('disk I/O error');
          return reader.outbox.bootBegan(bootId);
        },
      });
    const half = late();
    pass(half);
    expect(half.outbox.bootBegan(bootId)).toBe(beganMs);
    readable = true;
    pass(half);
    expect([half.clock.synchronised(), half.outbox.bootBegan(bootId)]).toEqual([false, beganMs]);
    readable = false;
    const set = late();
    synchronise(5000);
    pass(set);
    expect(set.clock.synchronised()).toBe(true);
    readable = true;
    pass(set);
    expect([set.clock.synchronised(), set.outbox.bootBegan(bootId)], 'current evidence outweighs the record').toEqual([true, beganMs + 5000]);
  });
});
