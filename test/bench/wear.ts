// The wear of a card by the outbox: bytes that reach the block device, on a separate ext4 image (with 4 kB blocks, as
// on cards). Needs root. Events and health are so far apart that no two share a journal write: npm run wear [--
// COUNT]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { hearingRecord, hourSummary, recordedEvent } from '../support/samples.ts';

const count = Number(process.argv[2] ?? 8);
const apartMs = 7000; // ext4 writes its journal every 5 s
const day = { health: 86_400 / 600, summary: 24 };

const say = (command: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout.trim();
};
const folder = mkdtempSync(join(tmpdir(), 'tocsin-wear-'));
const [image, mounted] = [join(folder, 'image'), join(folder, 'card')];
writeFileSync(image, '');
truncateSync(image, 512_000_000);
say('mkfs.ext4', '-q', '-F', '-b', '4096', image);
const device = say('losetup', '-f', '--show', image);
say('mkdir', mounted);
say('mount', device, mounted);
try {
  const bytes = () => {
    say('sync', '-f', mounted);
    return (
      Number(
        readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
          .trim()
          .split(/\s+/)[6],
      ) * 512
    );
  };
  const now = performance.now.bind(performance);
  let aheadMs = 0;
  performance.now = () => now() + aheadMs;
  const outbox = openSqliteOutbox(join(mounted, 'outbox.db'), { maxMegabytes: 64, maxEventsPerMinute: 60 }, { reserve: true });
  let minute = 0;
  const store = (events: number) => {
    for (let i = 0; i < events; i++) outbox.append(recordedEvent(++minute));
  };
  const acknowledgeAll = () => outbox.acknowledge(outbox.pending(0, 1000).map((e) => e.sequence));
  const measured = async (times: number, gapMs: number, work: () => void): Promise<number> => {
    await delay(apartMs);
    const before = bytes();
    for (let i = 0; i < times; i++) {
      work();
      await delay(gapMs);
    }
    return (bytes() - before) / times / 1000;
  };
  // once through the write-ahead log: from then on it does not grow
  for (let i = 0; i < 100; i++) {
    store(4);
    acknowledgeAll();
  }
  const appended = await measured(count, apartMs, () => store(1));
  const deleted = await measured(count, apartMs, () => outbox.acknowledge(outbox.pending(0, 1).map((e) => e.sequence)));
  const five = await measured(count, apartMs, () => {
    store(5);
    acknowledgeAll();
  });
  const tellHealth = () => outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 20_000 + minute++ }));
  const health = await measured(count, apartMs, tellHealth);
  const summary = await measured(count, apartMs, () => {
    outbox.writeSummary(hourSummary());
    outbox.summaryReported(outbox.summaries(1)[0]?.sequence ?? 0);
  });
  // an hour after an event was delivered the log is overwritten
  const passHour = () => {
    store(1);
    acknowledgeAll();
    aheadMs += 3_600_000;
    tellHealth();
  };
  passHour(); // the whole log, the first time
  const erased = await measured(count, apartMs, passHour);
  outbox.close();
  const round = (value: number) => Math.round(value * 10) / 10;
  console.log(
    JSON.stringify(
      {
        kilobytesForAnEventStored: round(appended),
        kilobytesForAnEventDeleted: round(deleted),
        kilobytesForAnEventAlone: round(appended + deleted),
        kilobytesForAnEventOfFiveInTenSeconds: round(five / 5),
        kilobytesForHealth: round(health),
        kilobytesForAnEventHealthAndErasureTogether: round(erased),
        megabytesForAnIdleDay: round((day.health * health + day.summary * summary) / 1000),
      },
      null,
      2,
    ),
  );
} finally {
  spawnSync('umount', ['-l', mounted]);
  spawnSync('losetup', ['-d', device]);
}
