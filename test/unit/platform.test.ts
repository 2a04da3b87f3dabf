import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { privacyManifest } from '../../agent/cli/privacy/manifest.ts';
import { configSchema } from '../../agent/config/schema.ts';
import { toCloudEvent } from '../../agent/delivery/to-cloud-event.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { healthCourier } from '../support/health-courier.ts';
import { fixedClock, hearingRecord, limits, recordedEvent } from '../support/samples.ts';

// docs/platform.md against the schemas and the code; that its advice suffices for a platform is not shown here

const page = readFileSync('docs/platform.md', 'utf8');
const read = (name: string) => JSON.parse(readFileSync(`docs/${name}`, 'utf8'));

test('docs/platform.md names each topic, and those that are retained', () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| (yes)? ?\|/gm)].map(([, topic, retained]) => [topic, retained === 'yes']);
  const operations = Object.values(read('asyncapi.json').operations) as { channel: { $ref: string }; bindings: { mqtt: { retain: boolean } } }[];
  const published = operations.map(({ channel, bindings }) => [channel.$ref.replace('#/channels/', ''), bindings.mqtt.retain]);
  expect(rows.toSorted()).toEqual(published.toSorted());
});

test('docs/platform.md names each state of a clock, of the hearing and of a verification, and each reason of a gap', () => {
  const { properties: event } = read('event.schema.json').properties.data;
  const { hearing } = read('health.schema.json').properties;
  const { verification } = read('privacy.schema.json').properties;
  const passed = 'passed'; // nothing is to be done then
  const values = [event.clock, hearing.properties.state, verification.properties.state, read('gap.schema.json').properties.reason].flatMap((one) => one.enum);
  expect(values.filter((value) => value !== passed && !page.includes(`\`${value}\``))).toEqual([]);
  expect(values.length).toBeGreaterThan(12);
});

test('the command that docs/platform.md gives makes the digest of the schemas, also in the folder of the package', () => {
  const command = /`(cat [^`]*)`/.exec(page)?.[1] ?? '';
  const installed = mkdtempSync(join(tmpdir(), 'tocsin-schemas-'));
  for (const path of globSync('docs/*.{json,md}')) cpSync(path, join(installed, basename(path)));
  writeFileSync(join(installed, 'sbom.cdx.json'), '{}\n'); // which the package has beside them
  const { schemas } = privacyManifest(configSchema.parse({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' } }));
  for (const cwd of ['docs', installed]) expect(execFileSync('sh', ['-c', command], { cwd, encoding: 'utf8' })).toBe(`${schemas}  -\n`);
  expect(read('privacy.schema.json').properties.manifest.properties.schemas.description).toContain(command);
});

test('docs/platform.md gives the defaults and bounds of the configuration', () => {
  const { mqtt } = configSchema.parse({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' } });
  expect(page).toContain(`\`mqtt.historicalAfterSeconds\` (${mqtt.historicalAfterSeconds})`);
  expect(page).toContain(`\`mqtt.maxInFlight\`, ${mqtt.maxInFlight} at most`);
  expect(() => configSchema.parse({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost', maxInFlight: mqtt.maxInFlight + 1 } })).toThrow();
});

test('two copies of an event differ in nothing but time, clock and historical', () => {
  const sender = { outboxId: '0123456789abcdef', site: 'old-port', sensor: 'lamp-1', historicalAfterSeconds: 60 };
  const event = { ...recordedEvent(0, { clockSynchronised: false, onsetWallMs: 0 }), sequence: 7 };
  const first = toCloudEvent(event, sender, fixedClock({ synchronised: () => false }));
  const second = toCloudEvent(event, sender, fixedClock({ monotonicMs: () => event.onsetMonotonicMs + 3_600_000 }));
  expect(second.time).not.toBe(first.time);
  expect([first.data.clock, second.data.clock]).toEqual(['unsynchronised', 'corrected']);
  expect([first.data.historical, second.data.historical]).toEqual([false, true]);
  const { clock, historical } = first.data;
  expect({ ...second, time: first.time, data: { ...second.data, clock, historical } }).toEqual(first);
});

test('health of a new boot comes once the listener starts, or as late as docs/platform.md says', async () => {
  const [, seconds] = /the first of a boot once the listener starts, or (\d+) s after the courier/.exec(page) ?? [];
  const courier = healthCourier();
  courier.outbox.writeHearing(hearingRecord({ bootId: '11111111-1111-4111-8111-111111111111' }));
  expect(await courier.at(20_000)).toBeUndefined();
  expect(await courier.at(20_000 + Number(seconds) * 1000 - 1000)).toBeUndefined();
  expect((await courier.at(20_000 + Number(seconds) * 1000)).hearing.state).toBe('silent');
});

test('a connection between two reports of the listener takes nothing from the availability that docs/platform.md has a platform reckon', async () => {
  expect(page).toContain('The figures of `hearing` are of the moment `uptimeSeconds` less `reportedSecondsAgo`');
  const courier = healthCourier();
  const reckoned = { moment: 20, listened: 9, share: [] as number[] };
  for (let seconds = 20; seconds <= 620; seconds += 40) {
    // heard all the while, and reported each 120 s
    if (seconds % 120 === 20)
      courier.outbox.writeHearing(hearingRecord({ writtenMonotonicMs: seconds * 1000, listenedSeconds: seconds - 11, intervalSeconds: 120 }));
    courier.reconnect();
    const { uptimeSeconds, hearing } = await courier.at(seconds * 1000 + 1000);
    const moment = uptimeSeconds - hearing.reportedSecondsAgo;
    if (moment - reckoned.moment > 1) reckoned.share.push((hearing.listenedSeconds - reckoned.listened) / (moment - reckoned.moment));
    else expect(hearing.listenedSeconds).toBe(reckoned.listened);
    Object.assign(reckoned, { moment, listened: hearing.listenedSeconds });
  }
  expect(reckoned.share).toEqual([1, 1, 1, 1, 1]);
});

test('a lost write-ahead log shows as docs/platform.md says: the same id, a gap, counts that fall and do not count what was lost', () => {
  const [, ...skipped] = /the loss of the write-ahead log up to (\d+),(\d+)/.exec(page) ?? [];
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-lost-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits, { reserve: true });
  for (let i = 0; i < 3; i++) outbox.append(recordedEvent(i));
  outbox.acknowledge([1]);
  cpSync(path, `${path}-left`);
  const left = openSqliteOutbox(`${path}-left`, limits, { repair: true });
  expect(left.id).toBe(outbox.id);
  expect(left.gaps(9)).toEqual([{ first: 1, last: Number(skipped.join('')), reason: 'unreadable' }]);
  expect(outbox.fates()).toMatchObject({ stored: 3, sent: 1 });
  expect(left.fates()).toMatchObject({ stored: 0, sent: 0, unreadable: 0 });
});

test('the schema gives the command that makes the digest of a verification, as docs/cli.md does', () => {
  const [, command] = /SHA-256 of the report without it: `([^`]+)`/.exec(readFileSync('docs/cli.md', 'utf8')) ?? [];
  expect(read('privacy.schema.json').properties.verification.properties.digest.description).toContain(command);
});
