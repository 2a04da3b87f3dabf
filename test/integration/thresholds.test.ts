import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { labels, loadModel, type ModelManifest, recognitionOf } from '../../agent/classify/model-manifest.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { loadConfig } from '../../agent/config/load-config.ts';
import { countedThresholds } from '../../agent/events/threshold-counts.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, thresholdRecord } from '../support/samples.ts';

const { manifest } = loadModel('models/street');

/** A sensor that has listened for so many days, with one shout an hour that scored between 0.9 and 0.95. */
function sensor(days: number, utcDay = (day: number) => 20_700 + day, recognition = recognitionOf(manifest)) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-thresholds-'));
  const config = join(folder, 'tocsin.yaml');
  const path = join(folder, 'outbox.db');
  writeFileSync(config, `site: a # where\nsensor: b\nmqtt: { url: mqtt://127.0.0.1:1 }\noutbox: { path: ${path} }\nmodel: { open: { bang: 0.8 } }\n`);
  const outbox = openSqliteOutbox(path, limits);
  const counts = countedThresholds.flatMap((threshold, step) => (threshold < 0.95 ? [{ label: 'shout' as const, step, events: 24 }] : []));
  for (let day = 0; day < days; day++)
    outbox.addThresholdCounts(thresholdRecord({ model: manifest, recognition, seconds: 86_400, counts, utcDay: utcDay(day) }));
  // the counts of another model must not be used
  outbox.addThresholdCounts(thresholdRecord({ model: { name: 'street', version: '0.0.1' }, counts: [{ label: 'bang', step: 44, events: 99 }] }));
  outbox.close();
  const run = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args, '-c', config], { encoding: 'utf8' });
  return { config, path, run };
}

test('`calibrate thresholds --write` stores thresholds for a budget; the detector uses them and `status` shows them', () => {
  const { config, run } = sensor(17);
  const before = readFileSync(config, 'utf8');
  expect(JSON.parse(run('calibrate', 'thresholds', '--budget', '2/week', '--write', '--dry-run', '--json').stdout).stored).toBe(false);
  expect(readFileSync(config, 'utf8')).toBe(before);
  const told = run('calibrate', 'thresholds', '--budget', '2/week', '--write', '--json');
  expect({ status: told.status, stderr: told.stderr }).toEqual({ status: 0, stderr: '' });
  const said = JSON.parse(told.stdout);
  expect(said).toMatchObject({ days: 17, from: '2026-09-04', to: '2026-09-20', events: 0, allowedEvents: 0, stored: true });
  expect(said.boundPerWeek).toBeCloseTo(1.95, 2);
  expect(said.labels.shout).toMatchObject({ eventsNow: 408, events: 0, proposed: 0.9526, own: false });
  expect(said.labels.bang).toMatchObject({ now: 0.8, own: true });
  expect(said.labels.shout.curve.find((at: { threshold: number }) => at.threshold === 0.9399).events).toBe(408);

  const text = readFileSync(config, 'utf8');
  expect(text).toContain('site: a # where');
  expect(text).toMatch(/shout: 0\.9526 # tocsin calibrate thresholds, 2 a week, 17\.0 days, /);
  const rules = rulesOf(manifest, loadConfig(config).model);
  expect(rules.shout.open).toBe(0.9526);
  expect(rules.glass_break.open).toBe(manifest.operatingPoints.balanced.labels.glass_break.open);
  expect(run('config', 'check').status).toBe(0);
  expect(JSON.parse(run('status', '--json').stdout).ownThresholds.shout).toBe(0.9526);
});

test('unchanged thresholds are not written again, since a newer file would make `privacy verify` ask for a restart', () => {
  const { config, run } = sensor(17);
  const store = (...more: string[]) => run('calibrate', 'thresholds', '--budget', '2/week', '--write', ...more).stdout;
  expect(JSON.parse(store('--json')).stored).toBe(true);
  const { ino, mtimeMs } = statSync(config);
  expect(JSON.parse(store('--json')).stored).toBe(false);
  expect(store().replace(/\s+/g, ' ')).toContain('These are in force already: there is nothing to store.');
  expect(statSync(config)).toMatchObject({ ino, mtimeMs });
});

test('a budget that allows all events is accepted, and one above the limit is refused', () => {
  const { run } = sensor(14);
  const { stdout } = run('calibrate', 'thresholds', '--budget', '1000/day', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ budgetPerWeek: 7000, events: 336, allowedEvents: 13_805 });
  expect(run('calibrate', 'thresholds', '--budget', '86401/day').stderr).toContain('expected a budget of at most 86400/day');
});

test('model thresholds between or above the counted ones are kept when nothing must be raised', () => {
  const of = structuredClone(manifest);
  const own = { glass_break: 0.45, shout: 0.45, bang: 0.9995 };
  for (const label of labels) of.operatingPoints.balanced.labels[label].open = own[label];
  const model = mkdtempSync(join(tmpdir(), 'tocsin-model-'));
  writeFileSync(join(model, 'manifest.json'), JSON.stringify(of));
  copyFileSync(join('models/street', manifest.file), join(model, manifest.file));
  const { config, run } = sensor(17, undefined, recognitionOf(of));
  writeFileSync(config, readFileSync(config, 'utf8').replace(/^model: .*$/m, `model: { path: ${model} }`));
  const said = JSON.parse(run('calibrate', 'thresholds', '--budget', '1000/day', '--json').stdout);
  for (const label of labels) expect(said.labels[label], label).toMatchObject({ now: own[label], proposed: own[label] });
  const raised = JSON.parse(run('calibrate', 'thresholds', '--budget', '2/week', '--json').stdout);
  expect(raised.labels.shout).toMatchObject({ now: 0.45, proposed: 0.9526 });
});

test('too few days of listening are refused with the number needed, and nothing is stored', () => {
  const { config, run } = sensor(5);
  const before = readFileSync(config, 'utf8');
  const { status, stderr } = run('calibrate', 'thresholds', '--budget', '2/week', '--write');
  expect(status).toBe(8);
  expect(stderr).toContain('Expected 10.5 days of listening for a budget of 2 a week, got 5.0');
  expect(readFileSync(config, 'utf8')).toBe(before);
  const wide = run('calibrate', 'thresholds', '--budget', '3/day', '--lang', 'fr');
  expect(wide.stdout).toContain('moins d’une semaine');
  expect(wide.stdout).toContain('* en vigueur, > proposé');
});

test('raising a label needs more days of listening: the error gives their number and the label', () => {
  const { run } = sensor(14);
  const few = run('calibrate', 'thresholds', '--budget', '2/week');
  expect(few.status).toBe(8);
  expect(few.stderr).toContain('Expected 16.7 days of listening to raise thresholds for a budget of 2 a week (shout), got 14.0');
  expect(few.stderr).toContain('so few days can at best show fewer than 2.4 a week');
  expect(run('calibrate', 'thresholds', '--budget', '2/week', '--lang', 'fr').stderr).toMatch(/Attendu 16,7\sjours d’écoute pour relever des seuils .*\(cri\)/);
});

test('a bound is rounded up, and a small budget is not shown as 0', () => {
  const { config, run } = sensor(60);
  const long = run('calibrate', 'thresholds', '--budget', '2/week', '--days', '52').stdout.replace(/\s+/g, ' ');
  expect(long).toContain('no event in 52.0 days, and no threshold raised: fewer than 0.41 a week'); // 0.4033
  expect(long).toContain('shout 0.8176 -> 0.9526; events: 1248 -> 0 bang 0.8000 (of this site) -> 0.7773; events');
  expect(long).toMatch(
    /Events of all labels together: 0, 0 a week; with 95 % confidence fewer than 0\.64 a week, while the street stays as it was\. Events added to this bound, [^:]+: 1\./,
  ); // 0.6386
  expect(run('calibrate', 'thresholds', '--budget', '0.04/week').stderr).toMatch(/for a budget of 0\.04 a week, .*\n.* fewer than 0\.35 a week/);
  run('calibrate', 'thresholds', '--budget', '2.5/month', '--write');
  expect(readFileSync(config, 'utf8')).toMatch(/# tocsin calibrate thresholds, 0\.58 a week, 59\.0 days, /);
  const french = run('calibrate', 'thresholds', '--budget', '2/week', '--lang', 'fr').stdout;
  expect(french).toMatch(/jours d’écoute, [\d -]+\u00a0; street/);
});

test('with a clock set back by a week, the earliest and the latest date are shown', () => {
  const { run } = sensor(14, (day) => (day < 7 ? 20_707 + day : 20_693 + day));
  const { stdout } = run('calibrate', 'thresholds', '--budget', '1/day', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ days: 14, from: '2026-09-04', to: '2026-09-17' });
});

test('counts from a changed model of the same version are not used; those of an earlier release are used', () => {
  const { run, path } = sensor(14, undefined, recognitionOf({ ...manifest, sha256: '0'.repeat(64) }));
  const listened = () => run('calibrate', 'thresholds', '--budget', '1/day', '--json');
  expect(listened().stderr).toContain('Expected 3.0 days of listening for a budget of 7 a week, got 0.0');
  const db = new Database(path);
  db.exec('UPDATE listening_day SET recognition = NULL');
  db.close();
  expect(JSON.parse(listened().stdout)).toMatchObject({ days: 14 });
});

test('counts of another operating point, whose rules were others, are not used', () => {
  const { config, run } = sensor(14);
  writeFileSync(config, readFileSync(config, 'utf8').replace('model: { ', 'model: { operatingPoint: strict, '));
  expect(run('calibrate', 'thresholds', '--budget', '1/day').stderr).toContain('Expected 3.0 days of listening for a budget of 7 a week, got 0.0');
});

test.each<[string, Partial<ModelManifest>]>([
  ['its graph', { sha256: '0'.repeat(64) }],
  ['the output that holds the scores', { scoresOutput: 'other' }],
  ['its classes', { classes: manifest.classes.toReversed() }],
  ['the classes of a label', { labels: { ...manifest.labels, bang: manifest.labels.shout } }],
  ['a rule', { operatingPoints: { ...manifest.operatingPoints, balanced: manifest.operatingPoints.strict } }],
])('the recognition digest changes with %s, and not with the documentation of the model', (_, change) => {
  expect(recognitionOf({ ...manifest, ...change })).not.toBe(recognitionOf(manifest));
  expect(recognitionOf({ ...manifest, thresholdsChosenOn: 'elsewhere', trainingData: [] })).toBe(recognitionOf(manifest));
});

test('a smaller budget uses more days, and the hint does not advise to wait where waiting cannot help', () => {
  const { run } = sensor(60);
  const told = run('calibrate', 'thresholds', '--budget', '5/month', '--json');
  expect({ status: told.status, stderr: told.stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(told.stdout)).toMatchObject({ days: 38, allowedEvents: 1 });
  expect(run('calibrate', 'thresholds', '--budget', '5/month', '--days', '7').stderr).toMatch(/got 7\.0\nTry: leave out --days/);
  expect(run('calibrate', 'thresholds', '--budget', '1/month').stderr).toMatch(
    /Expected 89\.9 days .*\nTry: take a larger budget: counts are kept for 60 days/,
  );
});
