import { expect, onTestFinished, test, vi } from 'vitest';
import { datagramsTo } from '../../agent/lib/libc.ts';
import { openNotifier } from '../../agent/lib/notify.ts';
import { openNotifySocket } from '../support/notify-socket.ts';

test('when the notify socket is full, READY and WATCHDOG are sent as soon as it has room', async () => {
  const socket = openNotifySocket();
  onTestFinished(socket.close);
  let nowMs = 0;
  const notifier = await openNotifier({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '30000000' }, () => nowMs);
  const others = datagramsTo(socket.path);
  const said = () => socket.messages.map(({ text }) => text).filter((text) => text !== 'of another');
  // fills it synchronously: this process reads it from a timer
  const fill = () => {
    while (others('of another'));
  };
  fill();
  notifier.ready();
  await vi.waitFor(() => expect(socket.messages.length).toBeGreaterThan(0));
  expect(said()).toEqual([]);
  notifier.progress(); // like the courier, which reports ready once
  await vi.waitFor(() => expect(said()).toEqual(['READY=1', 'WATCHDOG=1']));
  nowMs += 30_000;
  fill();
  notifier.progress();
  const before = socket.messages.length;
  await vi.waitFor(() => expect(socket.messages.length).toBeGreaterThan(before));
  for (let i = 0; i < 3; i++) notifier.progress();
  notifier.ready(); // like the listener, which reports ready with every frame
  fill();
  notifier.status('broker: connected');
  notifier.status('broker: unreachable');
  const then = socket.messages.length;
  await vi.waitFor(() => expect(socket.messages.length).toBeGreaterThan(then));
  notifier.progress();
  notifier.progress();
  notifier.status('the last');
  await vi.waitFor(() => expect(said()).toContain('STATUS=the last'));
  expect(said()).toEqual(['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'STATUS=broker: unreachable', 'STATUS=the last']);
});

test.each([
  ['its own process', String(process.pid), true],
  ['any process', undefined, true],
  ['another process', '1', false],
])('a watchdog meant for %s (WATCHDOG_PID %s) is served: %s', async (_, pid, isMine) => {
  const socket = openNotifySocket();
  onTestFinished(socket.close);
  const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '30000000', ...(pid === undefined ? {} : { WATCHDOG_PID: pid }) };
  const notifier = await openNotifier(env, () => 0);
  notifier.progress();
  notifier.ready();
  notifier.progress();
  notifier.stopping();
  await vi.waitFor(() => expect(socket.messages.at(-1)?.text).toBe('STOPPING=1'));
  const told = isMine ? ['EXTEND_TIMEOUT_USEC=30000000', 'READY=1', 'STOPPING=1'] : ['READY=1', 'STOPPING=1'];
  expect(socket.messages.map(({ text }) => text)).toEqual(told);
});
