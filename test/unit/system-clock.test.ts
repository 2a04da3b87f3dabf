// Evidence for the wall clock of a machine. The files are fakes of those that only a daemon and the kernel write.
import * as fs from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../agent/lib/clock.ts';

vi.mock('node:fs', async (original) => ({ ...(await original<typeof fs>()), statSync: vi.fn(), readFileSync: vi.fn() }));
const real = await vi.importActual<typeof fs>('node:fs');
const timesyncd = '/run/systemd/timesync/synchronized';
const chrony = '/run/tocsin-clock-set';
const hardware = '/sys/class/rtc/rtc0/since_epoch';

const now = Date.UTC(2027, 0, 1, 12);
const bootMs = now - Number(process.hrtime.bigint() / 1_000_000n);
let touchedMs: Record<string, number>;
let hardwareSeconds: number | undefined;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now });
  touchedMs = {};
  hardwareSeconds = undefined;
  vi.mocked(fs.statSync).mockImplementation(((path: string) => (path in touchedMs ? { mtimeMs: touchedMs[path] } : undefined)) as never);
  vi.mocked(fs.readFileSync).mockImplementation(((path: string, how: 'utf8') => {
    if (path !== hardware) return real.readFileSync(path, how);
    if (hardwareSeconds === undefined) throw Object.assign(new Error('none'), { code: 'ENOENT' });
    return `${hardwareSeconds}\n`;
  }) as never);
});
afterEach(() => void vi.useRealTimers());
const isBelieved = () => systemClock().synchronised();

test.each([timesyncd, chrony])('the clock file of either daemon is evidence, whatever the other one says: %s', (path) => {
  expect(isBelieved(), 'of a board without a network').toBe(false);
  touchedMs[path] = bootMs + 1000;
  expect(isBelieved()).toBe(true);
  touchedMs[path === chrony ? timesyncd : chrony] = bootMs - 86_400_000; // of an earlier boot
  expect(isBelieved()).toBe(true);
  touchedMs[path] = bootMs - 86_400_000;
  expect(isBelieved()).toBe(false);
});

test('a hardware clock that agrees is evidence, and one that is a minute off is not', () => {
  hardwareSeconds = now / 1000 - 1;
  expect(isBelieved()).toBe(true);
  hardwareSeconds = now / 1000 - 60;
  expect(isBelieved()).toBe(false);
});
