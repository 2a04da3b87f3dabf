import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { validatorOf } from '../support/published-schema.ts';

const validate = validatorOf('health');
const validSummary = validatorOf('summary');

test('a microphone fault and the death of the listener reach the platform within 10 s, and so does the recovery within 30 s', async () => {
  const { path, seen, of } = await openConnectedSensor('health', {
    microphone: { silenceTimeoutSeconds: 4 },
    health: { intervalSeconds: 1200 }, // the default: whatever is seen sooner was sent because of a change
    log: { level: 'silent' },
  });
  const microphone = fakeArecord('sound');
  const children: ChildProcess[] = [];
  onTestFinished(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  const start = (half: string): ChildProcess => {
    const child = spawn(process.execPath, ['agent/main.ts', half, '-c', path], { stdio: ['ignore', 'inherit', 'inherit'], env: microphone.env });
    children.push(child);
    return child;
  };
  const gone = (child: ChildProcess) => new Promise((resolve) => child.once('close', resolve));
  const health = () => of('health');
  const is = (state: string, fault: string) => () => health().at(-1)?.hearing.state === state && health().at(-1)?.hearing.fault === fault;
  const within = async (limitMs: number, condition: () => boolean) => {
    const began = performance.now();
    await seen.until(condition);
    const ms = performance.now() - began;
    expect(ms).toBeLessThan(limitMs);
    return ms;
  };

  const courier = start('deliver');
  let listener = start('listen');
  await seen.until(is('listening', 'none'));
  microphone.set('zeros');
  const known = await within(10_000, is('deaf', 'zeros'));
  microphone.set('unplugged');
  await within(10_000, is('deaf', 'absent'));
  microphone.set('sound');
  const back = await within(30_000, is('listening', 'none'));
  process.stdout.write(`zeros published after ${Math.round(known)} ms, hearing again published after ${Math.round(back)} ms\n`);
  expect(health().at(-1).hearing.notHeardSeconds).toBeGreaterThan(4);

  const killed = gone(listener);
  listener.kill('SIGKILL');
  await killed;
  const missed = await within(10_000, is('silent', 'none'));
  process.stdout.write(`the death of the listener published after ${Math.round(missed)} ms\n`);
  const unheard = health().at(-1).hearing.notHeardSeconds;
  listener = start('listen');
  await seen.until(is('listening', 'none'));
  const { hearing, model, board } = health().at(-1);
  expect(hearing.starts).toBe(2);
  expect(hearing.notHeardSeconds).toBeGreaterThan(unheard);
  expect(hearing.elapsedSeconds).toBeCloseTo(hearing.listenedSeconds + hearing.notHeardSeconds, 0);
  expect(model.name).toBe('street');
  expect(board.freeDiskMegabytes).toBeGreaterThan(0);

  for (const [child, state] of [
    [listener, 'stopped'],
    [courier, 'stopped'],
  ] as const) {
    const ended = gone(child);
    // like Ctrl-C in `tocsin run`: first to the recorder, then twice to the process
    for (const pid of readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ').filter(Boolean))
      process.kill(Number(pid), 'SIGTERM');
    child.kill('SIGINT');
    child.kill('SIGTERM');
    if (child === listener) await seen.until(() => is(state, 'none')() && of('summary').length > 0);
    expect(await ended).toBe(0);
  }
  const summaries = of('summary');
  expect(summaries, 'of the part of an hour that the second listener heard').toHaveLength(1);
  expect(validSummary(summaries[0]), JSON.stringify(validSummary.errors)).toBe(true);
  expect(summaries[0].listenedSeconds).toBeGreaterThan(0);
  for (const message of health()) expect(validate(message), JSON.stringify(validate.errors)).toBe(true);
});
