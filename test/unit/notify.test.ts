import { expect, onTestFinished, test, vi } from 'vitest';
import { datagramsTo } from '../../agent/lib/libc.ts';
import { openNotifier } from '../../agent/lib/notify.ts';
import { openNotifySocket } from '../support/notify-socket.ts';

test('a socket that is full when a half has started, or pings, is told as soon as it has room: systemd would end what hears', async () => {
  const socket = openNotifySocket();
  onTestFinished(socket.close);
  let nowMs = 0;
  const notifier = await openNotifier({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '30000000' }, () => nowMs);
  const others = datagramsTo(socket.path);
  const said = () => socket.messages.map(({ text }) => text).filter((text) => text !== 'of another');
  // at once: it is read from a timer of this process
  const fill = () => {
    while (others?.('of another'));
  };
  fill();
  notifier.ready();
  await vi.waitFor(() => expect(socket.messages.length).toBeGreaterThan(0));
  expect(said()).toEqual([]);
  notifier.progress(); // as the courier, which is ready once
  await vi.waitFor(() => expect(said()).toEqual(['READY=1', 'WATCHDOG=1']));
  nowMs += 30_000;
  fill();
  notifier.progress();
  const before = socket.messages.length;
  await vi.waitFor(() => expect(socket.messages.length).toBeGreaterThan(before));
  for (let i = 0; i < 3; i++) notifier.progress();
  notifier.ready(); // as the listener, with every frame
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
  ['this process', String(process.pid), true],
  ['whoever it is', undefined, true],
  ['another process', '1', false],
])('a watchdog that waits for %s: %s, %s', async (_, pid, isMine) => {
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
