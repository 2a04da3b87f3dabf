import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { loadManifest, manifestSchema } from '../../agent/classify/model-manifest.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { translateError } from '../../agent/cli/translate.ts';
import { checkConfig } from '../../agent/config/load-config.ts';

function copyOf(change: Record<string, unknown> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-model-'));
  cpSync('models/street', folder, { recursive: true });
  const path = join(folder, 'manifest.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
  return folder;
}
const messageOf = (of: () => unknown): string => {
  try {
    of();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
};

test.each<[Record<string, unknown>, number, string, string]>([
  [{ name: 'My Model' }, 1, 'name: expected text of the form /^[a-z0-9-]{1,32}$/, got "My Model"', 'name\u00a0: attendu un texte de la forme'],
  [{ licence: 3 }, 1, 'licence: expected text, between quotes, got 3', 'licence\u00a0: attendu un texte, entre guillemets, obtenu 3'],
  [{ licence: true }, 1, 'licence: expected text, between quotes, got true', 'licence\u00a0: attendu un texte, entre guillemets, obtenu true'],
  [{ colour: 'red\x1b[2J' }, 1, 'colour: expected no such key, got "red\\u001b[2J"', 'colour\u00a0: cette clé n’existe pas, obtenu'],
  [{ frameSeconds: 0 }, 1, 'frameSeconds: expected more than 0, got 0', 'frameSeconds\u00a0: attendu plus que 0, obtenu 0'],
  [
    { operatingPoints: {} },
    2,
    'operatingPoints.strict: expected a group of keys, got nothing',
    'operatingPoints.strict\u00a0: attendu un groupe de clés, obtenu rien',
  ],
])('a manifest problem is reported like a configuration problem, with expectation and value: %j', (change, count, english, french) => {
  const folder = copyOf(change);
  const said = messageOf(() => loadManifest(folder));
  expect(said).toContain(`manifest.json has ${count} problem${count === 1 ? '' : 's'}:\n`);
  expect(said).toContain(`\n  ${english}`);
  const inFrench = translateError(said, 'fr');
  expect(inFrench).toContain(`manifest.json\u00a0: à corriger (${count})\u00a0:\n`);
  expect(inFrench).toContain(`\n  ${french}`);
});

test('the first 20 of very many problems are shown, of a manifest and of a configuration, and all are counted', () => {
  const unknown = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key${i}`, i]));
  const config = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' } };
  for (const said of [messageOf(() => loadManifest(copyOf(unknown))), messageOf(() => checkConfig({ ...config, ...unknown }, 'tocsin.yaml'))]) {
    expect(said).toMatch(/has 1000 problems:\n {2}key0: .*\n(.*\n){18} {2}key19: .*\n {2}\.\.\.$/);
    expect(translateError(said, 'fr')).toMatch(/ à corriger \(1000\)\u00a0:\n(.*\n){19} {2}key19\u00a0: cette clé n’existe pas, obtenu 19\n {2}\.\.\.$/);
  }
});

test('the example manifest in models/README.md is complete, and its omitted keys have the stated defaults', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-model-'));
  const [, example = ''] = /```json\n(.*?)```/s.exec(readFileSync('models/README.md', 'utf8')) ?? [];
  writeFileSync(join(folder, 'manifest.json'), example);
  const { latencySeconds, states, trainingData } = loadManifest(folder);
  expect({ latencySeconds, states, trainingData }).toEqual({ latencySeconds: 0, states: [], trainingData: [] });
});

test('models/README.md has a line for each field of a manifest and for each field of a label in an operating point', () => {
  const readme = readFileSync('models/README.md', 'utf8');
  const lines = Array.from(readme.matchAll(/^\| (`.*?) \|/gm), ([, names = '']) => names.replaceAll('`', '').split(', ')).flat();
  const { operatingPoints } = loadManifest('models/street');
  const fields = [...Object.keys(manifestSchema.shape), ...Object.keys(operatingPoints.balanced.labels.bang)];
  expect(lines.toSorted()).toEqual(fields.toSorted());
});

test('a byte order mark at the start of a manifest is ignored', () => {
  const path = join(copyOf(), 'manifest.json');
  writeFileSync(path, `\uFEFF${readFileSync(path, 'utf8')}`);
  expect(loadManifest(dirname(path)).name).toBe('street');
});

test('a digest in capitals is refused and shown, since it is not a secret', () => {
  const digest = 'A0B1C2D3'.repeat(8);
  expect(messageOf(() => loadManifest(copyOf({ sha256: digest })))).toContain(`sha256: expected text of the form /^[0-9a-f]{64}$/, got "${digest}"`);
});

const rule = { open: 0.5, close: 0.3, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 1, cooldownSeconds: 1 };
const points = (change: object, ofPoint: object = {}) => {
  const point = { falseAlarmsPerHour: 0, labels: { glass_break: rule, shout: rule, bang: { ...rule, ...change } }, ...ofPoint };
  return { operatingPoints: { balanced: point, strict: point } };
};
const mapping = (bang: object) => ({ labels: { glass_break: { classes: ['glass_break'] }, shout: { classes: ['shout'] }, bang } });
test.each<[string, Record<string, unknown>]>([
  ['version', { version: '1.0-RC' }],
  ['version', { version: '1'.repeat(33) }],
  ['file', { file: '../model.onnx' }],
  ['sampleRate', { sampleRate: 7999 }],
  ['sampleRate', { sampleRate: 48_001 }],
  ['sampleRate', { sampleRate: 16_000.5 }],
  ['windowSamples', { windowSamples: 2560.5 }],
  ['windowSamples', { windowSamples: 0 }],
  ['hopSamples', { hopSamples: 0 }],
  ['hopSamples', { hopSamples: 1280.5 }],
  ['waveformShape.0', { waveformShape: [0.5, 5120] }],
  ['states.0.shape.1', { states: [{ input: 'state', output: 'state_out', shape: [1, 0] }] }],
  ['states.0.shape.0', { states: [{ input: 'state', output: 'state_out', shape: [0.5] }] }],
  ['states.0.type', { states: [{ input: 'state', output: 'state_out', shape: [1], type: 'float32' }] }],
  ['framesPerHop', { framesPerHop: 0 }],
  ['framesPerHop', { framesPerHop: 1.5 }],
  ['latencySeconds', { latencySeconds: -0.1 }],
  ['latencySeconds', { latencySeconds: 1.1 }],
  ['classes', { classes: [] }],
  ['labels.bang.classes', mapping({ classes: [] })],
  ['labels.bang.class', mapping({ classes: ['bang'], class: 'bang' })],
  ['labels.horn', { labels: { ...mapping({ classes: ['bang'] }).labels, horn: { classes: ['bang'] } } }],
  ['parameters', { parameters: 1.5 }],
  ['operatingPoints.lax', { operatingPoints: { ...points({}).operatingPoints, lax: {} } }],
  ['operatingPoints.balanced.labels.horn', points({}, { labels: { glass_break: rule, shout: rule, bang: rule, horn: rule } })],
  ['operatingPoints.balanced.labels.bang.close', points({ close: 1.1 })],
  ['operatingPoints.balanced.labels.bang.mergeSeconds', points({ mergeSeconds: -1 })],
  ['operatingPoints.balanced.labels.bang.cooldownSeconds', points({ cooldownSeconds: 61 })],
  ['operatingPoints.balanced.labels.bang.minDuration', points({ minDuration: 1 })],
  ['operatingPoints.balanced.falseAlarmsPerHour', points({}, { falseAlarmsPerHour: -1 })],
  ['operatingPoints.balanced.budget', points({}, { budget: 1 })],
])('%s is bounded, and unknown keys are refused: %j', (path, change) => {
  expect(messageOf(() => loadManifest(copyOf(change)))).toContain(`\n  ${path}: expected `);
});

test('manifest fields that depend on each other are accepted up to their limit and refused beyond it', () => {
  const wholeSecond = { windowSamples: 16_000, hopSamples: 16_000, framesPerHop: 25, waveformShape: [1, 16_000] };
  expect(loadManifest(copyOf(wholeSecond))).toMatchObject(wholeSecond);
  const least = { ...points({}), version: '1', sampleRate: 8000, frameSeconds: 0.08 };
  expect(loadManifest(copyOf(least))).toMatchObject(least);
  expect(messageOf(() => loadManifest(copyOf({ ...wholeSecond, windowSamples: 16_001 })))).toContain('windowSamples: expected at most the 16000');
  expect(messageOf(() => loadManifest(copyOf({ frameSeconds: 0.02 })))).toContain('frameSeconds: expected 0.04');
  expect(messageOf(() => loadManifest(copyOf({ waveformShape: [1, -1, -2560] })))).toContain('waveformShape: expected sizes');
});

test('the rules are those of the operating point; a threshold of the configuration replaces its `open`, and `close` is never above that', () => {
  const { operatingPoints, ...rest } = loadManifest('models/street');
  for (const operatingPoint of ['balanced', 'strict'] as const) {
    const { labels: own } = operatingPoints[operatingPoint];
    const rules = (open: Parameters<typeof rulesOf>[1]['open']) => rulesOf({ operatingPoints, ...rest }, { operatingPoint, open });
    expect(rules({})).toEqual(own);
    const changed = { ...own, shout: { ...own.shout, open: 0.95 }, bang: { ...own.bang, open: 0.2, close: 0.2 } };
    expect(rules({ shout: 0.95, bang: 0.2 })).toEqual(changed);
  }
});

test('the error about missing graph inputs or outputs is translated to French', async () => {
  const of = async (change: Record<string, unknown>) =>
    translateError(await openOnnxClassifier(copyOf(change)).then(String, (error: Error) => error.message), 'fr');
  expect(await of({ waveformInput: 'sound' })).toBe('Attendu les entrées sound, state, obtenu waveform, state');
  expect(await of({ scoresOutput: 'tags' })).toMatch(/^Attendu les sorties tags, state_out, obtenu scores, state_out$/);
});

test.skipIf(process.getuid?.() !== 0)('for a folder that the service may not read, the hint gives the command that opens it (needs root)', () => {
  const folder = copyOf(); // of mode 700
  const options = { uid: 65_534, gid: 65_534, encoding: 'utf8' } as const;
  const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', 'model', folder], options);
  expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringContaining(`if a service reports this: sudo chmod -R a+rX ${folder}\n`) });
});

test('`tocsin model` shows the time between two scores to 0.1 ms, and thresholds as they are', () => {
  const folder = copyOf({ frameSeconds: 0.12037 / 3 });
  const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'model', folder], { encoding: 'utf8' });
  expect(stdout).toContain('a score every 40.1 ms');
  const { operatingPoints } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  expect(stdout).toContain(`breaking glass ${operatingPoints.balanced.labels.glass_break.open}, shout`);
});

test.each([
  ['model.onnx', 'model'],
  ['manifest.json', 'model'],
  ['scenes.json', 'evaluate'],
])('a named pipe in place of %s is refused without waiting', (name, command) => {
  const folder = copyOf();
  rmSync(join(folder, name), { force: true });
  spawnSync('mkfifo', [join(folder, name)]);
  const child = spawnSync(process.execPath, ['agent/main.ts', command, folder, '--lang', 'fr'], { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' });
  expect(child.stderr).toMatch(new RegExp(`^Erreur\u00a0: Attendu ${name}\\b.* obtenu\u00a0: un tube ou un périphérique\nEssayez`));
});

test('control characters in a manifest or a file name do not reach the terminal', () => {
  const hostile = 'free\x1b]0;owned\x07\nok  verified';
  const tocsin = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });
  const folder = copyOf({ licence: hostile, thresholdsChosenOn: hostile });
  const shown = tocsin('model', folder);
  expect({ status: shown.status, raw: shown.stdout.match(/(?!\n)\p{Cc}/gu) }).toEqual({ status: 0, raw: null });
  expect(
    shown.stdout
      .split(/\s+/)
      .join(' ')
      .match(/free\?\]0;owned\?\?ok verified/g),
  ).toHaveLength(2);
  const recording = join(folder, 'a\x1b[2J\nb.flac');
  copyFileSync('test/demo/scene.flac', recording);
  const heard = tocsin('replay', recording);
  expect(heard.stdout).toContain('a?[2J?b.flac');
  expect(heard.stdout).not.toContain('\x1b');
  expect(tocsin('replay', `${recording}c`).stderr).toMatch(/at .*a\?\[2J\nb\.flacc, got/);
  expect(() => loadManifest(copyOf({ classes: ['glass_break', 'shout', 'bang', 'a\x1b', 'a\x1b'] }))).toThrow('got "a?" again');
});
