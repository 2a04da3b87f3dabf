import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { judgeTone, readTone } from '../../agent/audio/calibration-tone.ts';
import { loadConfig } from '../../agent/config/load-config.ts';
import { checkWritable, writeSetting } from '../../agent/config/write-setting.ts';
import { wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';
import { mount } from '../support/small-disk.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-calibrate-'));
const rate = 48000;
let seed = 1;
const noise = () => {
  seed = (seed * 48271) % 2147483647;
  return (seed / 2147483647 - 0.5) * 2;
};
const tone = (seconds: number, amplitude: (at: number) => number, hz = 1000, hiss = 0.0005, offset = 0) =>
  Float32Array.from({ length: seconds * rate }, (_, i) => offset + amplitude(i / rate) * Math.sin((2 * Math.PI * hz * i) / rate + 0.3) + hiss * noise());
const readings = (samples: Float32Array) =>
  Array.from({ length: samples.length / (rate / 4) }, (_, i) => readTone(samples.subarray((i * rate) / 4, ((i + 1) * rate) / 4), rate));

test.each([
  [1000, 0.1],
  [985.3, 0.02],
  [1017.2, 0.5],
  [1040, 0.3],
  [700, 0.1],
  [918.75, 0.1], // 48 kHz taken as 44.1
  [1088.4, 0.02], // 44.1 kHz taken as 48
])('readTone measures a tone of %f Hz at amplitude %f', (hz, amplitude) => {
  const { frequencyHz, toneDb, purityDb } = readTone(
    tone(0.25, () => amplitude, hz, 0.0005, 0.01),
    rate,
  );
  expect(Math.abs(frequencyHz - hz)).toBeLessThan(0.2);
  expect(Math.abs(toneDb - 20 * Math.log10(amplitude))).toBeLessThan(0.03);
  expect(purityDb).toBeGreaterThan(20);
});

test('judgeTone reports found, none, frequency, unstable or clipped for a run of readings', () => {
  const verdict = (samples: Float32Array) => judgeTone(readings(samples)).verdict;
  expect(verdict(tone(2, () => 0.1))).toBe('found');
  expect(verdict(tone(2, () => 0, 1000, 0.1))).toBe('none');
  expect(verdict(tone(2, () => 0.1, 1000, 0.1))).toBe('none');
  expect(verdict(tone(2, () => 0.1, 1030))).toBe('frequency');
  expect(verdict(tone(2, (at) => 0.1 * (1 + 0.05 * at)))).toBe('unstable');
  const clip = (samples: Float32Array) => samples.map((x) => Math.max(-1, Math.min(1, x)));
  for (const amplitude of [1.05, 2, 3, 30]) expect(verdict(clip(tone(2, () => amplitude))), `at ${amplitude}`).toBe('clipped');
  expect(verdict(clip(tone(2, (at) => 0.99 + 0.006 * at))), 'at the end only').toBe('clipped');
  expect(verdict(clip(tone(2, (at) => (at < 0.5 ? 3 : 0))))).toBe('none'); // a knock, and then no tone
  expect(judgeTone([]).verdict).toBe('none');
});

function writeConfig(name: string, samples: Float32Array): string {
  const wav = join(folder, `${name}.wav`);
  writeFileSync(
    wav,
    wavFile(
      Int16Array.from(samples, (x) => Math.round(Math.max(-1, Math.min(1, x)) * 32767)),
      rate,
    ),
  );
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, `site: a # the place\nsensor: b\nmicrophone:\n  adapter: file\n  file: ${wav}\n# the broker\nmqtt: { url: mqtt://127.0.0.1 }\n`);
  return path;
}
const run = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', 'calibrate', ...args], { encoding: 'utf8' });

describe('the calibrate command', () => {
  test('finds the tone after silence, stores the sensitivity, and then measures in dB SPL', () => {
    const samples = tone(4, (at) => (at < 1.1 ? 0 : 0.1));
    const path = writeConfig('good', samples);
    chmodSync(path, 0o640);
    const { status, stdout } = run('-c', path, '--seconds', '2', '--json');
    expect(status).toBe(0);
    const result = JSON.parse(stdout) as { splAtFullScaleDb: number; stored: boolean };
    expect(result).toMatchObject({ splAtFullScaleDb: 114, stored: true });
    expect(loadConfig(path).microphone.splAtFullScaleDb).toBe(114);
    const text = readFileSync(path, 'utf8');
    for (const kept of ['site: a # the place', '# the broker', 'splAtFullScaleDb: 114 # tocsin calibrate, 94 dB at 1 kHz, 2']) expect(text).toContain(kept);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    const measured = run('-c', path, '--measure', '--seconds', '4');
    expect(measured.stdout).toMatch(/LAFmax 9[34](\.\d)?, LASmax 9\d(\.\d)? dB SPL/);
    expect(run('-c', path, '--level', '114', '--seconds', '2', '--dry-run', '--lang', 'fr').stdout).toMatch(/134,0\sdB SPL[\s\S]*avant\s: 114[\s\S]*non écrit/);
    expect(loadConfig(path).microphone.splAtFullScaleDb).toBe(114);
  });

  test.each([
    ['silence', tone(2, () => 0), /no 1 kHz tone/],
    ['noise', tone(2, () => 0, 1000, 0.5), /no 1 kHz tone stood out; around 1 kHz the loudest moment had -\d\d dBFS/],
    ['another tone', tone(2, () => 0.1, 1030), /of 1030 Hz/],
    ['a wrong rate', tone(2, () => 0.1, 1088.4), /of 1088 Hz: .*\nTry: .*microphone.sampleRateHz/],
    ['a loose cavity', tone(2, (at) => 0.1 + 0.02 * at), /wanders by/],
    ['clipping', tone(2, () => 1.05), /clipped/],
  ])('stores nothing and names the reason: %s', (name, samples, message) => {
    const path = writeConfig(name.replaceAll(' ', '-'), samples);
    const before = readFileSync(path, 'utf8');
    const { status, stderr } = run('-c', path, '--seconds', '1', '--wait', '2');
    expect(status).toBe(4);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^Try: ./m);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  test('stores nothing when the tone ends before it was heard for long enough', () => {
    const path = writeConfig(
      'short',
      tone(1.4, () => 0.1),
    );
    const before = readFileSync(path, 'utf8');
    const { status, stderr } = run('-c', path, '--seconds', '2');
    expect({ status, stderr }).toMatchObject({ status: 4, stderr: expect.stringContaining('for 1.25 s only: expected 2 s\nTry: take a longer recording') });
    expect(run('-c', path, '--seconds', '2', '--lang', 'fr').stderr).toMatch(/pendant 1,25\ss seulement/);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  test.each([
    [120, 'before: 120 dB. A change of -6 dB is large'],
    [113, 'before: 113 dB, a change of 1 dB'],
  ])('a sensitivity of 114 dB after one of %i dB is told as that change', (before, said) => {
    const path = writeConfig(
      `after-${before}`,
      tone(1, () => 0.1),
    );
    writeFileSync(path, readFileSync(path, 'utf8').replace('microphone:', `microphone:\n  splAtFullScaleDb: ${before}`));
    expect(run('-c', path, '--seconds', '1', '--dry-run').stdout.replace(/\s+/g, ' ')).toContain(said);
  });

  test('a value that the configuration would refuse is not written', () => {
    const path = writeConfig(
      'range',
      tone(1, () => 0.1),
    );
    const before = readFileSync(path, 'utf8');
    expect(() => writeSetting(path, ['microphone', 'splAtFullScaleDb'], 999, 'x')).toThrow(/splAtFullScaleDb/);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });
});

describe('writeSetting', () => {
  const keys = ['microphone', 'splAtFullScaleDb'];
  const silence = new Float32Array(rate);

  test('writes through a symbolic link and keeps the link', () => {
    const path = writeConfig('linked', silence);
    const link = join(mkdtempSync(join(folder, 'etc-')), 'tocsin.yaml');
    symlinkSync('../linked.yaml', link);
    checkWritable(link, keys, 100);
    writeSetting(link, keys, 110, 'x');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readlinkSync(link)).toBe('../linked.yaml');
    expect(loadConfig(path).microphone.splAtFullScaleDb).toBe(110);
    expect(readdirSync(folder).filter((name) => /^linked\..*\.tmp$/.test(name))).toEqual([]); // another test plants one
  });

  test('adds a value to a group whose keys are all comments, and keeps the comments', () => {
    const path = writeConfig('empty', silence);
    const { site, sensor, mqtt } = loadConfig(path);
    writeFileSync(
      path,
      `site: ${site}\nmicrophone:\n  # adapter: alsa\n  # device: default # the one on the roof\nsensor: ${sensor}\nmqtt: { url: ${mqtt.url} }\n`,
    );
    writeSetting(path, keys, 110, 'x');
    expect(readFileSync(path, 'utf8')).toContain(
      'microphone:\n  # adapter: alsa\n  # device: default # the one on the roof\n  splAtFullScaleDb: 110 # x\nsensor:',
    );
  });

  test('adds a value two groups deep where the outer group is all comments', () => {
    const path = writeConfig('outer', silence);
    const { site, sensor, mqtt } = loadConfig(path);
    writeFileSync(path, `site: ${site}\nmodel:\n  # operatingPoint: strict\nsensor: ${sensor}\nmqtt: { url: ${mqtt.url} }\n`);
    writeSetting(path, ['model', 'open', 'bang'], 0.5, 'x');
    expect(readFileSync(path, 'utf8')).toContain('model:\n  # operatingPoint: strict\n  open:\n    bang: 0.5 # x\nsensor:');
    expect(loadConfig(path).model.open).toEqual({ bang: 0.5 });
  });

  test('adds the groups that a value needs to a file of YAML 1.1 as well, as another program may write it', () => {
    const path = writeConfig('older', silence);
    const { site, sensor, mqtt } = loadConfig(path);
    writeFileSync(path, `%YAML 1.1\n---\nsite: ${site}\nsensor: ${sensor}\nmqtt: { url: ${mqtt.url} }\n`);
    writeSetting(path, keys, 110, 'x');
    writeSetting(path, ['model', 'open', 'bang'], 0.5, 'y');
    expect([loadConfig(path).microphone.splAtFullScaleDb, loadConfig(path).model.open]).toEqual([110, { bang: 0.5 }]);
    expect(readFileSync(path, 'utf8')).toContain('\nmicrophone:\n  splAtFullScaleDb: 110 # x\nmodel:\n  open:\n    bang: 0.5 # y\n');
  });

  test('keeps a comment that is not in UTF-8, as an editor of Windows writes it', () => {
    const path = writeConfig('windows', silence);
    writeFileSync(path, Buffer.concat([Buffer.from('# près de l’école\n'), Buffer.from('# c\xf4t\xe9 rue \x80\n', 'latin1'), readFileSync(path)]));
    writeSetting(path, keys, 110, 'x');
    expect(readFileSync(path, 'utf8')).toMatch(/^# près de l’école\n# côté rue €\n/);
    expect(loadConfig(path).microphone.splAtFullScaleDb).toBe(110);
  });

  test.each([
    ['its group', 'log: &none {}\nmicrophone: *none\n'],
    ['a value that another repeats', 'microphone: { splAtFullScaleDb: &value 110 }\nhealth: { intervalSeconds: *value }\n'],
  ])('refuses a file with an alias in the place of %s before the tone is heard, and leaves it as it is', (_what, groups) => {
    const path = writeConfig('alias', silence);
    const { site, sensor, mqtt } = loadConfig(path);
    const text = `site: ${site}\nsensor: ${sensor}\nmqtt: { url: ${mqtt.url} }\n${groups}`;
    writeFileSync(path, text);
    loadConfig(path);
    const refused = {
      name: 'ConfigError',
      message: `Expected to write ${path}, got: an alias (*name)`,
      tryHint: 'write the value itself in place of each *name',
    };
    expect(() => checkWritable(path, keys, 100)).toThrow(expect.objectContaining(refused));
    expect(() => writeSetting(path, keys, 110, 'x')).toThrow(expect.objectContaining(refused));
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('uses a unique temporary file: no other file, nor the target of a link there, is overwritten', () => {
    const path = writeConfig('beside', silence);
    const [draft, victim] = [`${path}.new`, join(folder, 'victim')];
    writeFileSync(draft, 'draft');
    writeFileSync(victim, 'victim');
    writeSetting(path, keys, 110, 'x');
    expect(readFileSync(draft, 'utf8')).toBe('draft');
    symlinkSync(victim, `${path}.${process.pid}.tmp`); // left by a killed process with the same number
    writeSetting(path, keys, 111, 'x');
    expect([readFileSync(victim, 'utf8'), loadConfig(path).microphone.splAtFullScaleDb]).toEqual(['victim', 111]);
  });

  test.skipIf(process.getuid?.() !== 0)('on a full or read-only disk throws with a hint that names the disk problem (needs root)', () => {
    const disk = mkdtempSync(join(folder, 'disk-'));
    mount('-t', 'tmpfs', '-o', 'size=16k', 'none', disk);
    onTestFinished(() => void spawnSync('umount', ['-l', disk]));
    const path = join(disk, 'tocsin.yaml');
    writeFileSync(path, readFileSync(writeConfig('small', silence)));
    writeFileSync(join(disk, 'full'), Buffer.alloc(12 * 1024));
    const refused = (tryHint: string) => expect.objectContaining({ tryHint: expect.stringContaining(tryHint) });
    expect(() => writeSetting(path, keys, 110, 'x')).toThrow(refused('make room there (df -h)'));
    expect(run('-c', path)).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('Try: make room there (df -h)') });
    mount('-o', 'remount,ro', disk);
    expect(() => checkWritable(path, keys, 100)).toThrow(refused('the file system is read-only'));
    expect(readdirSync(disk)).toEqual(['full', 'tocsin.yaml']);
  });

  test.skipIf(missing('strace'))('syncs the new file to disk before it replaces the old one (needs strace)', () => {
    const inner = join(folder, 'synced');
    mkdirSync(inner);
    const path = join(inner, 'tocsin.yaml');
    writeFileSync(path, readFileSync(writeConfig('unsynced', silence)));
    const trace = join(folder, 'trace');
    const script = `import { writeSetting } from './agent/config/write-setting.ts'; writeSetting(${JSON.stringify(path)}, ${JSON.stringify(keys)}, 110, 'x');`;
    const strace = ['-f', '-y', '-e', 'trace=fsync,fdatasync,rename,renameat,renameat2', '-o', trace];
    const { status, stderr } = spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const calls = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes(inner));
    expect(
      calls.map((line) =>
        line
          .replace(/^\d+ +/, '')
          .replaceAll(inner, '')
          .replace(/yaml\.[0-9a-f-]+\.tmp/g, 'yaml.OWN.tmp')
          .replace(/\d+</, '<')
          .replace(/ += .*/, ''),
      ),
    ).toEqual(['fsync(</tocsin.yaml.OWN.tmp>)', 'rename("/tocsin.yaml.OWN.tmp", "/tocsin.yaml")', 'fsync(<>)']);
  });
});
