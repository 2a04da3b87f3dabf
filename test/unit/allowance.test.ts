import { expect, test } from 'vitest';
import { Allowance, type KeptAllowance } from '../../agent/delivery/allowance.ts';
import { UnsentError } from '../../agent/lib/errors.ts';
import { seededRandom } from '../support/random.ts';
import { silentLogger } from '../support/samples.ts';

const month = 30 * 86_400_000;
const hour = 3_600_000;

/** A courier whose notes are real in every way but that they are in memory: that a disk keeps them is not shown here. */
function courier(perMinute = 30) {
  const board = { boot: 1, ms: 0, passedMs: 0, fullMs: 0, isFull: false, keeps: 0 };
  let kept: KeptAllowance | undefined;
  const logger = { ...silentLogger, warn: () => undefined };
  const keep = (allowance: KeptAllowance) => {
    if (board.isFull) throw new Error('ENOSPC');
    board.keeps++;
    kept = allowance;
  };
  const clock = () => ({ bootId: `boot ${board.boot}`, monotonicMs: () => board.ms });
  const start = () => new Allowance(perMinute, month, { clock: clock(), logger, kept, keep });
  let allowance = start();
  return {
    board,
    pass(ms: number) {
      board.ms += ms;
      board.passedMs += ms;
      if (board.isFull) board.fullMs += ms;
    },
    kill() {
      allowance = start();
    },
    restart() {
      allowance.close();
      allowance = start();
    },
    reboot() {
      board.boot++;
      board.ms = 0;
      allowance = start();
    },
    tend: (pending: number) => allowance.tend(() => pending),
    kept: () => kept?.messages,
    /** How many of so many messages were allowed, of which each counts as so many. */
    take(count: number, each = 1) {
      for (let taken = 0; taken < count; taken++)
        try {
          allowance.take(each);
        } catch (error) {
          expect(error).toBeInstanceOf(UnsentError);
          return taken;
        }
      return count;
    },
  };
}

test('what waits when a sensor is new may be sent, and later as much as an honest listener stores', () => {
  const { tend, take, pass } = courier();
  tend(5000);
  expect(take(1e6)).toBe(1000 + 2 * 5000);
  pass(60_000);
  expect(take(1e6)).toBe(33);
  pass(7 * 86_400_000); // without a broker
  expect(take(7 * 1440 * 30)).toBe(7 * 1440 * 30);
});

test('a listener that says of an old sensor that much waits gains nothing', () => {
  const { tend, take, kill, reboot } = courier();
  tend(0);
  expect(take(1e6)).toBe(1000);
  kill();
  tend(500_000);
  expect(take(1e6)).toBe(0);
  reboot();
  tend(500_000);
  expect(take(1e6)).toBe(0);
});

test('however a courier is killed, restarted, rebooted and starved of its disk, no more is sent than was earned, or twice that without its disk', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const sensor = courier();
    sensor.tend(0);
    let sent = 0;
    for (let step = 0; step < 300; step++) {
      const what = random();
      if (what < 0.3) sent += sensor.take(Math.floor(random() ** 3 * 30_000));
      else if (what < 0.35) sent += 4 * sensor.take(100, 4);
      else if (what < 0.5) sensor.pass(random() ** 4 * 5 * hour);
      else if (what < 0.7) sensor.kill();
      else if (what < 0.8) sensor.restart();
      else if (what < 0.85) sensor.reboot();
      else if (what < 0.9) sensor.board.isFull = !sensor.board.isFull;
      else sensor.tend(Math.floor(random() * 500_000));
      expect(sent, `seed ${seed}`).toBeLessThanOrEqual(1000 + ((sensor.board.passedMs + sensor.board.fullMs) / 60_000) * 33);
    }
  }
});

test('an honest listener is not held back, whatever becomes of courier and board', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    const sensor = courier();
    sensor.tend(0);
    let pending = 0;
    for (let step = 0; step < 300; step++) {
      const ms = random() ** 4 * 10 * hour;
      sensor.pass(ms);
      pending = Math.min(500_000, pending + Math.floor((ms / 60_000) * 30 * random() ** 2));
      const what = random();
      if (what < 0.1) sensor.restart();
      else if (what < 0.15) {
        sensor.tend(pending);
        sensor.reboot(); // within the hour since it was tended
      } else if (what < 0.6) {
        expect(sensor.take(pending), `seed ${seed}, step ${step}`).toBe(pending);
        pending = 0;
      }
      sensor.tend(pending);
    }
  }
});

test('what is saved up is no more than may wait in the outbox', () => {
  const { tend, kept, pass, restart } = courier();
  tend(0);
  pass(20 * month);
  restart();
  expect(kept()).toBe(30 * 1440 * 33);
});

test('an orderly restart takes nothing from what was earned, a killed courier at most an hour of it while much waits', () => {
  const { tend, take, pass, restart, kill } = courier();
  tend(0);
  pass(hour / 2);
  restart();
  expect(take(1e6)).toBe(1000 + 30 * 33);
  for (let minute = 0; minute < 90; minute++) {
    pass(60_000);
    tend(100_000);
  }
  kill();
  expect(take(1e6)).toBeGreaterThanOrEqual(60 * 33);
});

test('where the disk takes no notes, messages go on at the rate of an honest listener', () => {
  const { board, tend, take, pass, kill } = courier();
  tend(0);
  pass(24 * hour);
  board.isFull = true;
  kill();
  expect(take(1e6)).toBe(0);
  for (let minute = 0; minute < 5; minute++) {
    pass(60_000);
    expect(take(1e6)).toBe(33);
  }
  board.isFull = false;
  pass(24 * hour);
  expect(take(10_000)).toBe(10_000);
});

test('the notes are written once in a thousand messages, and not while nothing is sent', () => {
  const { board, tend, take, pass } = courier();
  tend(0);
  for (let day = 0; day < 30; day++) {
    pass(24 * hour);
    tend(0);
  }
  expect(board.keeps).toBe(1);
  take(10_000);
  expect(board.keeps).toBeLessThanOrEqual(12);
});
