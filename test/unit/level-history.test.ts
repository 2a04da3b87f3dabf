import { expect, test } from 'vitest';
import type { UsualLevel } from '../../agent/events/health.ts';
import { openHeardLevels } from '../../agent/events/heard-levels.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { streetLevels } from '../support/levels.ts';

/** One that knows the hour and tells nobody what it learns. */
const levelHistory = () =>
  openLevelHistory(
    [],
    () => 3,
    () => undefined,
  );

test('the noise floor is the level exceeded 90 % of the last minutes', () => {
  const history = levelHistory();
  expect(history.noiseFloorDb()).toBeUndefined();
  streetLevels(history, 1, -60, -30);
  expect(history.noiseFloorDb()).toBe(-60);
  streetLevels(history, 1, -50, -30);
  expect(history.noiseFloorDb()).toBe(-50);
});

test('much quieter than usual is covered, loud and steady is noisy, a quieter or busier street is neither', () => {
  const history = levelHistory();
  streetLevels(history, 20, -60, -30);
  const then = (floor: number, loud: number) => {
    streetLevels(history, 1, floor, loud);
    return history.suspicion();
  };
  expect(then(-66, -36)).toBe('none');
  expect(then(-45, -25)).toBe('none');
  expect(then(-75, -45)).toBe('covered');
  expect(then(-75, -30)).toBe('none'); // quiet between loud moments is a quiet street
  expect(then(-35, -34)).toBe('noisy');
  expect(then(-60, -30)).toBe('none');
});

test('nothing is suspected before three days of that hour, nor while the clock is wrong; what was learnt outlives a restart', () => {
  const learnt = new Map<number, Parameters<Parameters<typeof openLevelHistory>[2]>[0]>();
  let hour: number | undefined = 3;
  const open = () =>
    openLevelHistory(
      [...learnt.values()],
      () => hour,
      (level) => void learnt.set(level.hour, level),
    );
  const young = open();
  streetLevels(young, 11, -60, -30);
  streetLevels(young, 1, -80, -50);
  expect(young.suspicion()).toBe('none');
  streetLevels(young, 20, -60, -30);
  const restarted = open();
  hour = undefined;
  streetLevels(restarted, 1, -80, -50);
  expect(restarted.suspicion()).toBe('none');
  hour = 4;
  streetLevels(restarted, 1, -80, -50);
  expect(restarted.suspicion()).toBe('none');
  hour = 3;
  streetLevels(restarted, 1, -80, -50);
  expect(restarted.suspicion()).toBe('covered');
});

test('what is usual is the mean of what there was of that hour, of which two weeks count', () => {
  const learnt: UsualLevel[] = [];
  const history = openLevelHistory(
    [],
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

test('what is suspected moves what is usual an eighth as much: a cover by 25 dB is named for months, and is usual after five', () => {
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

test('while the clock is wrong nothing is learnt or suspected, nor what was suspected before', () => {
  const learnt: unknown[] = [];
  let hour: number | undefined = 3;
  const history = openLevelHistory(
    [],
    () => hour,
    (level) => learnt.push(level),
  );
  streetLevels(history, 20, -60, -30);
  streetLevels(history, 1, -80, -50);
  expect(history.suspicion()).toBe('covered');
  hour = undefined;
  streetLevels(history, 1, -80, -50);
  expect(history.suspicion()).toBe('none');
  streetLevels(history, 20, -60, -30);
  streetLevels(history, 1, -80, -50);
  expect(history.suspicion()).toBe('none');
  expect(learnt).toHaveLength(21);
});

/** A history and the hour's meter behind the gate of the listener; zeros are -100 dB there. */
function gated() {
  const learnt: UsualLevel[] = [];
  const history = openLevelHistory(
    [],
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

test('a microphone that was not heard for days teaches nothing, and a cover after that is named', () => {
  const { learnt, history, heard, quarters } = gated();
  quarters(1, -100, -100); // before a word of it
  heard.hearing('starting');
  for (const state of ['deaf', 'stopped'] as const) {
    heard.hearing(state);
    quarters(30, -100, -100);
  }
  expect(learnt).toEqual([]);
  expect(history.noiseFloorDb()).toBeUndefined();
  heard.hearing('listening');
  quarters(13, -50, -35);
  quarters(1, -65, -50);
  expect(history.suspicion()).toBe('covered');
});

test('the quarter of an hour in which the microphone was not heard is begun anew; the hour has the levels and sounds of what was heard', () => {
  const { learnt, heard, fed, summed, quarters } = gated();
  heard.hearing('listening');
  quarters(0.5, -100, -100); // before the fault is named
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

test('the noise floor after a fault is of what was heard since', () => {
  const { heard, history, quarters } = gated();
  heard.hearing('listening');
  quarters(1, -60, -30);
  heard.hearing('deaf');
  expect(history.noiseFloorDb()).toBeUndefined(); // there may have been none for days
  heard.hearing('listening');
  quarters(0.01, -80, -50);
  expect(history.noiseFloorDb()).toBeUndefined();
  quarters(0.1, -80, -50);
  expect(history.noiseFloorDb()).toBe(-80);
});

test('what is clipped is not covered, whatever was suspected before', () => {
  const { heard, history, quarters } = gated();
  heard.hearing('listening');
  quarters(13, -50, -35);
  quarters(1, -65, -50);
  expect(history.suspicion()).toBe('covered');
  heard.hearing('listening', 'clipped');
  quarters(0.1, -6, -1);
  expect(history.suspicion()).toBe('none');
});

test('what is not heard is not covered either, nor suspected again before a quarter of an hour of sound', () => {
  const { heard, history, quarters } = gated();
  heard.hearing('listening');
  quarters(13, -50, -35);
  quarters(1, -65, -50);
  expect(history.suspicion()).toBe('covered');
  heard.hearing('deaf');
  expect(history.suspicion()).toBe('none'); // it may stay so for days
  heard.hearing('listening');
  quarters(0.9, -65, -50);
  expect(history.suspicion()).toBe('none');
  quarters(0.2, -65, -50);
  expect(history.suspicion()).toBe('covered');
});

test('what is clipped is a noise floor, but not what is usual: the gain put right after days is no cover', () => {
  const { heard, history, learnt, quarters } = gated();
  heard.hearing('listening');
  quarters(0.1, -6, -1); // before it is named
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
