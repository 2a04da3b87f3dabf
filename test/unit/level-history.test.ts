import { expect, test } from 'vitest';
import type { UsualLevel } from '../../agent/events/health.ts';
import { openHeardLevels } from '../../agent/events/heard-levels.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { streetLevels } from '../support/levels.ts';

/** A history at hour 3 of the day that reports no learnt levels. */
const levelHistory = () =>
  openLevelHistory(
    () => 3,
    () => undefined,
  );

test('the noise floor is the level exceeded for 90 % of the last minutes', () => {
  const history = levelHistory();
  expect(history.noiseFloorDb()).toBeUndefined();
  streetLevels(history, 1, -60, -30);
  expect(history.noiseFloorDb()).toBe(-60);
  streetLevels(history, 1, -50, -30);
  expect(history.noiseFloorDb()).toBe(-50);
});

test('the noise floor is known after ten seconds and covers four to five minutes', () => {
  const history = levelHistory();
  const push = (steps: number, level: number) => {
    for (let i = 0; i < steps; i++) history.push(level); // 125 ms each
    return history.noiseFloorDb();
  };
  expect(push(79, -60)).toBeUndefined();
  expect(push(1, -60)).toBe(-60);
  expect(push(9 * 480 - 80, -60)).toBe(-60);
  expect(push(3.5 * 480, -50)).toBe(-60);
  expect(push(0.5 * 480, -50)).toBe(-50);
  history.begin();
  expect(push(80, -60.4)).toBe(-60);
  expect(push(800, -60.6)).toBe(-61);
});

test('a level far below usual is `covered`, a loud steady one `noisy`; a slightly quieter or busier street is neither', () => {
  const history = levelHistory();
  streetLevels(history, 20, -60, -30);
  const then = (floor: number, loud: number) => {
    streetLevels(history, 4, floor, loud);
    return history.suspicion();
  };
  expect(then(-66, -36)).toBe('none');
  expect(then(-45, -25)).toBe('none');
  expect(then(-75, -45)).toBe('covered');
  expect(then(-75, -30)).toBe('none'); // quiet between loud moments: a quiet street
  expect(then(-35, -34)).toBe('noisy');
  expect(then(-60, -30)).toBe('none');
});

test('the fourth quarter of an hour in succession is told, and the first usual one ends it', () => {
  const history = levelHistory();
  streetLevels(history, 56, -60, -30);
  const told = [
    ...['quiet', 'quiet', 'quiet', 'usual', 'quiet', 'quiet', 'steady', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'usual', 'quiet'],
    ...['steady', 'steady', 'steady', 'steady'],
  ].map((quarter) => {
    if (quarter === 'steady') streetLevels(history, 1, -35, -34);
    else streetLevels(history, 1, quarter === 'quiet' ? -75 : -60, quarter === 'quiet' ? -45 : -30);
    return history.suspicion();
  });
  expect(told).toEqual([...Array(10).fill('none'), 'covered', 'covered', ...Array(5).fill('none'), 'noisy']);
});

test('nothing is suspected before three days of that hour or while the hour is unknown; learnt levels survive a restart', () => {
  const learnt = new Map<number, UsualLevel>();
  let hour: number | undefined = 3;
  const open = () => {
    const history = openLevelHistory(
      () => hour,
      (level) => void learnt.set(level.hour, level),
    );
    history.recall([...learnt.values()]);
    return history;
  };
  const young = open();
  streetLevels(young, 8, -60, -30);
  streetLevels(young, 4, -80, -50);
  const oldEnough = levelHistory();
  streetLevels(oldEnough, 12, -60, -30);
  streetLevels(oldEnough, 4, -80, -50);
  expect(oldEnough.suspicion()).toBe('covered');
  expect(young.suspicion()).toBe('none');
  streetLevels(young, 20, -60, -30);
  const restarted = open();
  hour = undefined;
  streetLevels(restarted, 4, -80, -50);
  expect(restarted.suspicion()).toBe('none');
  hour = 4;
  streetLevels(restarted, 4, -80, -50);
  expect(restarted.suspicion()).toBe('none');
  hour = 3;
  streetLevels(restarted, 4, -80, -50);
  expect(restarted.suspicion()).toBe('covered');
});

test('the usual level is the mean for that hour, over at most two weeks', () => {
  const learnt: UsualLevel[] = [];
  const history = openLevelHistory(
    () => 3,
    (level) => learnt.push(level),
  );
  const then = (floor: number) => {
    streetLevels(history, 1, floor, floor + 30);
    return learnt.at(-1);
  };
  expect(then(-60)).toEqual({ hour: 3, quarters: 1, floorDb: -60, loudDb: -30 });
  expect(then(-54)).toEqual({ hour: 3, quarters: 2, floorDb: -57, loudDb: -27 });
  expect(then(-54)).toEqual({ hour: 3, quarters: 3, floorDb: -56, loudDb: -26 });
  history.recall([{ hour: 3, quarters: 100, floorDb: -60, loudDb: -30 }]);
  expect(then(-53)).toEqual({ hour: 3, quarters: 101, floorDb: expect.closeTo(-60 + 7 / 56), loudDb: expect.closeTo(-30 + 7 / 56) });
});

test('suspected levels count an eighth: a cover of 25 dB is reported for 81 days and is usual after 151', () => {
  const history = levelHistory();
  streetLevels(history, 56, -50, -30);
  const coveredFor = (days: number) => {
    streetLevels(history, 4 * days, -75, -55);
    return history.suspicion();
  };
  expect(coveredFor(1)).toBe('covered');
  expect(coveredFor(80)).toBe('covered');
  expect(coveredFor(70)).toBe('none');
});

test('a loud steady noise counts an eighth too: 25 dB of it are reported for seven weeks', () => {
  const history = levelHistory();
  streetLevels(history, 56, -60, -30);
  streetLevels(history, 4 * 7 * 7, -35, -34);
  expect(history.suspicion()).toBe('noisy');
  streetLevels(history, 4 * 7 * 3, -35, -34);
  expect(history.suspicion()).toBe('none');
});

test('while the hour is unknown nothing is learnt or suspected, and an earlier suspicion ends', () => {
  const learnt: unknown[] = [];
  let hour: number | undefined = 3;
  const history = openLevelHistory(
    () => hour,
    (level) => learnt.push(level),
  );
  streetLevels(history, 20, -60, -30);
  streetLevels(history, 4, -80, -50);
  expect(history.suspicion()).toBe('covered');
  hour = undefined;
  streetLevels(history, 1, -80, -50);
  expect(history.suspicion()).toBe('none');
  streetLevels(history, 20, -60, -30);
  streetLevels(history, 4, -80, -50);
  expect(history.suspicion()).toBe('none');
  expect(learnt).toHaveLength(24);
});

/** A level history and an hourly meter behind the listener's gate. Digital zeros are at -100 dB here. */
function gated() {
  const learnt: UsualLevel[] = [];
  const history = openLevelHistory(
    () => 3,
    (level) => learnt.push(level),
  );
  const fed: number[] = [];
  const counter = { push: () => undefined, restart: () => undefined };
  const summed: string[] = [];
  const heard = openHeardLevels(history, { level: (fastDb) => void fed.push(fastDb), recognised: (label) => void summed.push(label) }, counter);
  const quarters = (count: number, floor: number, loud: number) => streetLevels({ push: heard.level }, count, floor, loud);
  return { learnt, history, fed, summed, heard, quarters };
}

test('a microphone that was deaf or stopped teaches no usual levels, and a cover afterwards is reported', () => {
  const { learnt, history, heard, quarters } = gated();
  quarters(1, -100, -100); // before its state is known
  heard.hearing('starting');
  for (const state of ['deaf', 'stopped'] as const) {
    heard.hearing(state);
    quarters(30, -100, -100);
  }
  expect(learnt).toEqual([]);
  expect(history.noiseFloorDb()).toBeUndefined();
  heard.hearing('listening');
  quarters(13, -50, -35);
  quarters(4, -65, -50);
  expect(history.suspicion()).toBe('covered');
});

test('a fault restarts the quarter of an hour; the hourly summary contains only what was heard', () => {
  const { learnt, heard, fed, summed, quarters } = gated();
  heard.hearing('listening');
  quarters(0.5, -100, -100); // before the fault is detected
  heard.hour.level(-40, 1e-4);
  heard.hour.recognised('shout');
  heard.hearing('deaf');
  heard.hour.level(-130, 1e-12);
  heard.hour.recognised('bang');
  heard.hearing('listening');
  heard.hearing('listening');
  quarters(0.5, -50, -30);
  heard.hearing('listening');
  heard.hour.level(-41, 1e-4);
  quarters(0.5, -50, -30);
  expect(learnt).toEqual([{ hour: 3, quarters: 1, floorDb: -50, loudDb: -30 }]);
  expect(summed).toEqual(['shout']);
  expect(fed).toEqual([-40, -41]);
});

test('the noise floor after a fault covers only sound heard since', () => {
  const { heard, history, quarters } = gated();
  heard.hearing('listening');
  quarters(1, -60, -30);
  heard.hearing('deaf');
  expect(history.noiseFloorDb()).toBeUndefined(); // the fault may last for days
  heard.hearing('listening');
  quarters(0.01, -80, -50);
  expect(history.noiseFloorDb()).toBeUndefined();
  quarters(0.1, -80, -50);
  expect(history.noiseFloorDb()).toBe(-80);
});

test('clipping ends the suspicion `covered`', () => {
  const { heard, history, quarters } = gated();
  heard.hearing('listening');
  quarters(13, -50, -35);
  quarters(4, -65, -50);
  expect(history.suspicion()).toBe('covered');
  heard.hearing('listening', 'clipped');
  quarters(0.1, -6, -1);
  expect(history.suspicion()).toBe('none');
});

test('a fault ends the suspicion `covered`, which returns only after an hour of sound', () => {
  const { heard, history, quarters } = gated();
  heard.hearing('listening');
  quarters(13, -50, -35);
  quarters(4, -65, -50);
  expect(history.suspicion()).toBe('covered');
  heard.hearing('deaf');
  expect(history.suspicion()).toBe('none'); // the fault may last for days
  heard.hearing('listening');
  quarters(3.9, -65, -50);
  expect(history.suspicion()).toBe('none');
  quarters(0.2, -65, -50);
  expect(history.suspicion()).toBe('covered');
});

test('clipped sound has a noise floor but teaches no usual level: correcting the gain later is not a cover', () => {
  const { heard, history, learnt, quarters } = gated();
  heard.hearing('listening');
  quarters(0.1, -6, -1); // before clipping is detected
  heard.hearing('listening', 'clipped');
  quarters(13, -6, -1);
  expect(history.noiseFloorDb()).toBe(-6);
  expect(learnt).toEqual([]);
  heard.hearing('listening');
  quarters(1, -50, -20);
  expect(learnt).toEqual([{ hour: 3, quarters: 1, floorDb: -50, loudDb: -20 }]);
  quarters(13, -50, -20);
  expect(history.suspicion()).toBe('none');
});
