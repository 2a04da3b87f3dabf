// Which refused event is tried when. The queue is a fake, a list of numbers; test/reliability/refusals.test.ts shows
// what the courier sends.
import { expect, test } from 'vitest';
import type { Queue } from '../../agent/delivery/queue.ts';
import { Refusals } from '../../agent/delivery/refusals.ts';
import { BrokerError, NoSubscriberError, UnsentError } from '../../agent/lib/errors.ts';

const second = 1000;
const refusal = new BrokerError('Expected a PUBACK, got reason code 135', 'check', true);
const unsent = new UnsentError('Expected a message of at most 100 bytes, got 200', 'raise');
const unheard = new NoSubscriberError('Expected a subscriber, got reason code 16', 'subscribe');
const longest = () => new Refusals(() => 1); // each wait is as long as possible

/** Pending events; those up to `handedOut` were sent once. */
function queueOf(pending: readonly number[], handedOut = Number.POSITIVE_INFINITY): Queue {
  const event = (sequence: number | undefined) => (sequence === undefined ? undefined : { sequence });
  const after = (sequence: number) => pending.find((one) => one > sequence);
  return {
    newest: () => event(pending.at(-1)),
    after: (sequence: number) => event(after(sequence)),
    passedAfter: (sequence: number) => event(pending.find((one) => one > sequence && one <= handedOut)),
  } as unknown as Queue;
}
/** The seconds until the next try is due, and its sequence number. */
function nextTry(refusals: Refusals, queue: Queue, fromMs: number): [seconds: number, sequence: number | undefined] {
  let ms = fromMs;
  while (!refusals.isDue(ms, 0) && ms < fromMs + 1000 * second) ms += second;
  return [(ms - fromMs) / second, refusals.next(queue)?.sequence];
}

test('refused events are tried one at a time, after waits that grow to ten minutes; an accepted try ends the refusal', () => {
  const refusals = longest();
  refusals.begin(0);
  expect([refusals.any, refusals.isDue(1e9, 0)]).toEqual([false, false]);
  for (const sequence of [1, 2, 3]) refusals.refused(sequence, sequence * 10 * second, refusal);
  expect([refusals.any, refusals.stopped]).toEqual([true, false]);
  const queue = queueOf([1, 2, 3, 4], 3);
  expect(nextTry(refusals, queue, 0)).toEqual([70, 1]); // counted from the first refusal, whatever came since
  const tries: unknown[] = [];
  for (let i = 0, now = 100 * second; i < 5; i++, now += 1000 * second) {
    expect(refusals.isDue(now, 0), 'one is under way').toBe(false);
    refusals.refused(i % 3 === 0 ? 1 : (i % 3) + 1, now, refusal);
    tries.push(nextTry(refusals, queue, now));
  }
  expect(tries).toEqual([
    [120, 2],
    [240, 3],
    [480, 1],
    [600, 2],
    [600, 3],
  ]);
  expect(refusals.taken(2, 1e7, true)).toBe(false);
  expect(refusals.any).toBe(true);
  expect(refusals.taken(3, 1e7, true)).toBe(true);
  expect([refusals.any, refusals.isDue(1e9, 0)]).toEqual([false, false]);
});

test('after an untimely event is accepted, the next refused event is tried after the shortest wait', () => {
  const refusals = longest();
  refusals.begin(0);
  refusals.refused(1, 0, refusal);
  expect(nextTry(refusals, queueOf([1, 2]), 0)).toEqual([60, 1]);
  refusals.refused(1, 60 * second, refusal);
  expect(nextTry(refusals, queueOf([1, 2]), 60 * second)).toEqual([120, 2]);
  expect(refusals.taken(2, 180 * second, false)).toBe(true);
  expect(refusals.any).toBe(true);
  expect(nextTry(refusals, queueOf([1, 3]), 180 * second)).toEqual([60, 3]);
});

test('without subscribers, an accepted event shows that there is one: the next refused event is tried at once', () => {
  for (const tried of [false, true]) {
    const refusals = longest();
    refusals.begin(0);
    for (let sequence = 1; sequence <= 16; sequence++) refusals.refused(sequence, 0, unheard);
    const queue = queueOf(
      Array.from({ length: 20 }, (_, i) => i + 1),
      16,
    );
    expect(nextTry(refusals, queue, 0)).toEqual([60, 17]);
    if (!tried) refusals.refused(17, 60 * second, unheard);
    expect(refusals.taken(tried ? 17 : 18, 70 * second, false)).toBe(tried);
    expect([refusals.any, nextTry(refusals, queue, 70 * second)]).toEqual([true, [0, 1]]);
    expect(refusals.taken(1, 71 * second, true)).toBe(true);
    expect([refusals.any, refusals.isDue(1e9, 0)]).toEqual([false, false]);
  }
});

test('sixteen refusals in a row stop new events; an accepted event restarts the count, and a refusal by the sensor does not count', () => {
  const refusals = longest();
  refusals.begin(0);
  for (let sequence = 1; sequence <= 15; sequence++) refusals.refused(sequence, 0, refusal);
  expect(refusals.taken(16, 0, false)).toBe(false);
  for (let sequence = 17; sequence <= 31; sequence++) refusals.refused(sequence, 0, refusal);
  for (let sequence = 100; sequence <= 140; sequence++) refusals.refused(sequence, 0, unsent);
  expect(refusals.stopped).toBe(false);
  refusals.begin(0); // another connection
  for (let sequence = 1; sequence <= 15; sequence++) refusals.refused(sequence, 0, refusal);
  expect(refusals.stopped).toBe(false);
  refusals.refused(16, 0, refusal);
  expect(refusals.stopped).toBe(true);
  expect(refusals.isDue(60 * second, 1), 'what is under way may be taken yet').toBe(false);
  expect(refusals.isDue(60 * second, 0)).toBe(true);
});

test('when stopped, the next and the newest event are tried in turn, at once over a new connection; an accepted one resumes all', () => {
  const refusals = longest();
  refusals.begin(0);
  for (let sequence = 1; sequence <= 16; sequence++) refusals.refused(sequence, 0, refusal);
  const queue = queueOf(Array.from({ length: 20 }, (_, i) => i + 1));
  const tries: unknown[] = [];
  for (let i = 0; i < 6; i++) {
    const next = nextTry(refusals, queue, i * 1000 * second);
    tries.push(next);
    refusals.refused(next[1] as number, (i + 1) * 1000 * second, refusal);
  }
  expect(tries).toEqual([
    [60, 17],
    [120, 20],
    [240, 18],
    [480, 20],
    [600, 19],
    [600, 20],
  ]);
  refusals.begin(9000 * second);
  expect([refusals.any, refusals.stopped]).toEqual([true, true]);
  expect(nextTry(refusals, queue, 9000 * second)).toEqual([0, 20]);
  refusals.refused(20, 9000 * second, refusal);
  expect(nextTry(refusals, queue, 9000 * second)).toEqual([600, 20]);
  refusals.refused(20, 9600 * second, refusal);
  expect(nextTry(refusals, queue, 9600 * second)).toEqual([600, 1]); // from the oldest again
  expect(refusals.taken(1, 10_200 * second, true)).toBe(true);
  expect([refusals.any, refusals.stopped]).toEqual([false, false]);
});

test('a new connection begins without refusals unless all events were refused; without pending events refusals end', () => {
  const refusals = longest();
  refusals.begin(0);
  refusals.refused(1, 0, refusal);
  refusals.begin(second);
  expect([refusals.any, refusals.isDue(1e9, 0)]).toEqual([false, false]);
  for (let sequence = 1; sequence <= 16; sequence++) refusals.refused(sequence, second, refusal);
  expect(refusals.next(queueOf([]))).toBeUndefined();
  expect([refusals.any, refusals.stopped, refusals.isDue(1e9, 0)]).toEqual([false, false, false]);
});

test('over a new connection the waits begin anew, and the tries with the first event', () => {
  const refusals = longest();
  const queue = queueOf([1, 2]);
  for (const begunMs of [0, 5000 * second]) {
    refusals.begin(begunMs);
    for (const sequence of [1, 2]) refusals.refused(sequence, begunMs, refusal);
    expect(nextTry(refusals, queue, begunMs)).toEqual([60, 1]);
    refusals.refused(1, begunMs + 100 * second, refusal);
    expect(nextTry(refusals, queue, begunMs + 100 * second)).toEqual([120, 2]);
  }
});
