// The wear of a card by the outbox: bytes that reach the block device, on a separate ext4 image (with 4 kB blocks, as
// on cards). Needs root. After each piece of work all that waits in memory is written, as happens within half a minute
// by itself: on a sensor events, health and summaries are further apart. npm run wear [-- COUNT]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { configSchema } from '../../agent/config/schema.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { hearingRecord, hourSummary, recordedEvent, thresholdRecord } from '../support/samples.ts';

const count = Number(process.argv[2] ?? 8);
const acknowledgeWithinMs = 10_000; // as the courier does
const { intervalSeconds } = configSchema.shape.health.parse(undefined);
const healthADay = 86_400 / intervalSeconds;

const say = (command: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout.trim();
};
oneFolderForThisCommand();
const folder = mkdtempSync(join(tmpdir(), 'tocsin-wear-'));
const [image, mounted] = [join(folder, 'image'), join(folder, 'card')];
writeFileSync(image, '');
truncateSync(image, 512_000_000);
say('mkfs.ext4', '-q', '-F', '-b', '4096', image);
say('mkdir', mounted);
say('mount', '-o', 'loop', image, mounted);
const device = say('findmnt', '-no', 'SOURCE', mounted);
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
  const measured = async (work: () => unknown): Promise<number> => {
    const before = bytes();
    for (let i = 0; i < count; i++) {
      await work();
      bytes();
    }
    return (bytes() - before) / count / 1000;
  };
  // once through the write-ahead log: from then on it does not grow
  for (let i = 0; i < 100; i++) {
    store(4);
    acknowledgeAll();
  }
  const stored = await measured(() => store(1));
  const deleted = await measured(() => outbox.acknowledge(outbox.pending(0, 1).map((e) => e.sequence)));
  const alone = await measured(async () => {
    store(1);
    await delay(acknowledgeWithinMs);
    acknowledgeAll();
  });
  const five = await measured(async () => {
    for (let i = 0; i < 5; i++) {
      store(1);
      await delay(acknowledgeWithinMs / 5);
    }
    acknowledgeAll();
  });
  const tellHealth = () => outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 20_000 + minute++ }));
  const health = await measured(tellHealth);
  const hour = await measured(() => {
    outbox.writeSummary(hourSummary());
    tellHealth();
    outbox.addThresholdCounts(thresholdRecord());
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
  const erased = await measured(passHour);
  outbox.close();
  const round = (value: number) => Math.round(value * 10) / 10;
  console.log(
    JSON.stringify(
      {
        kilobytesForAnEventStored: round(stored),
        kilobytesForAnEventDeleted: round(deleted),
        kilobytesForAnEventAlone: round(alone),
        kilobytesForAnEventOfFiveInTenSeconds: round(five / 5),
        kilobytesForHealth: round(health),
        kilobytesForAFullHour: round(hour),
        kilobytesForAnEventHealthAndErasureTogether: round(erased),
        megabytesForAnIdleDay: round(((healthADay - 24) * health + 24 * hour) / 1000),
      },
      null,
      2,
    ),
  );
} finally {
  spawnSync('umount', ['-l', mounted]); // frees the loop device
}
