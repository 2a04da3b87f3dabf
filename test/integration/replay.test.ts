import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { shellWord } from '../../agent/lib/shell-word.ts';
import { wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-replay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const run = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });
const file = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const mono = readFileSync('deploy/selftest.wav');
const zeros = file('zeros.wav', wavFile(new Int16Array(16_000), 16_000));

test('a recording with channels in antiphase gives the same events as its single channel', () => {
  const sound = new Int16Array(mono.buffer, mono.byteOffset + 44, (mono.length - 44) >> 1);
  const both = Int16Array.from({ length: 2 * sound.length }, (_, i) => (i % 2 ? -1 : 1) * (sound[i >> 1] as number));
  const header = Buffer.from(wavFile(both, 16_000));
  header.writeUInt16LE(2, 22);
  header.writeUInt32LE(64_000, 28);
  header.writeUInt16LE(4, 32);
  const heard = (path: string) =>
    run('replay', path, '--json')
      .stdout.trim()
      .split('\n')
      .map((line) => ({ ...JSON.parse(line), file: '' }));
  expect(heard(file('against.wav', header))).toEqual(heard('deploy/selftest.wav'));
});

test('`replay` reports digital silence, and `evaluate` refuses it as a scene', () => {
  const english = run('replay', zeros, '--json');
  expect([english.status, english.stdout]).toEqual([0, '']);
  expect(english.stderr.replace(/\s+/g, ' ')).toBe(`${zeros}: nothing but exact zeros, which no street gives: was its recorder mute? `);
  expect(run('replay', file('zeros\x07.wav', readFileSync(zeros)), '--json').stderr).toContain('zeros?.wav');
  expect(run('replay', zeros, '--json', '--lang', 'fr').stderr.replace(/\s+/g, ' ')).toContain('rien que des zéros exacts');
  file('scenes.json', JSON.stringify([{ file: 'zeros.wav', seconds: 1, events: [] }]));
  const evaluated = run('evaluate', folder, '--json');
  expect([evaluated.status, evaluated.stdout]).toEqual([4, '']);
  expect(evaluated.stderr).toMatch(/^Error: Expected sound in .*zeros.wav, got nothing but exact zeros\nTry: was its recorder mute\?/);
});

test('`evaluate` refuses a scene that is empty, a folder or a pipe before it hears the first, whose length is wrong', () => {
  mkdirSync(join(folder, 'folder.wav'));
  spawnSync('mkfifo', [join(folder, 'pipe.wav')]);
  file('empty.wav', '');
  const scenes = ['zeros.wav', 'empty.wav', 'folder.wav', 'pipe.wav'].map((name) => ({ file: name, seconds: 60, events: [] }));
  file('scenes.json', JSON.stringify(scenes));
  const { status, stderr } = run('evaluate', folder, '--json');
  expect([status, stderr]).toEqual([
    4,
    expect.stringMatching(/^Error: Expected every recording of the scenes, got 3 of 4 that cannot be read, first .*empty.wav\nTry: check/),
  ]);
});

const without = missing('script');
test.skipIf(without)(`on a dumb terminal \`replay\` draws no progress bar${without ? ` (left out: ${without})` : ''}`, () => {
  const onTerminal = (TERM: string) =>
    spawnSync('script', ['-qec', `${shellWord(process.execPath)} agent/main.ts replay deploy/selftest.wav`, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, TERM },
    });
  expect(onTerminal('xterm').stdout).toContain('\x1b');
  const { stdout } = onTerminal('dumb');
  expect(stdout).toContain('3.60 s');
  expect(stdout).not.toContain('\x1b');
});

test('`replay` and `evaluate` report recordings sampled below the model rate', () => {
  const noise = Int16Array.from({ length: 8000 }, (_, i) => 300 * Math.sin(i * i));
  const low = file('low.wav', wavFile(noise, 8000));
  const french = run('replay', low, 'deploy/selftest.wav', '--json', '--lang', 'fr').stderr.replace(/\s+/g, ' ');
  expect(french).toMatch(
    /^Échantillonnés à moins des 16000 Hz que prend le modèle : 1 sur 2, le premier .*low.wav. Un enregistrement ne contient aucun son au-dessus de la moitié /,
  );
  file('scenes.json', JSON.stringify([{ file: 'low.wav', seconds: 1, events: [] }]));
  const { status, stderr } = run('evaluate', folder, '--json');
  expect([status, stderr.replace(/\s+/g, ' ')]).toEqual([
    0,
    expect.stringMatching(/^Sampled at less than the 16000 Hz .*: 1 of 1, the first low.wav. A recording holds no sound above half /),
  ]);
});

test("`evaluate --config` scores a site's own thresholds, as `replay` takes them, and says which these are", () => {
  const config = file('tocsin.yaml', 'site: a\nsensor: b\nmqtt: {url: mqtt://localhost}\nmodel: {operatingPoint: strict, open: {glass_break: 1, bang: 0.5}}\n');
  const events = [
    { onset: 1.5, offset: 2, label: 'glass_break' },
    { onset: 3.5, offset: 4, label: 'bang' },
  ];
  file('scenes.json', JSON.stringify([{ file: 'selftest.wav', seconds: 5, events }]));
  file('selftest.wav', mono);
  const hits = (...options: string[]) => {
    const { perLabel, operatingPoint, thresholds } = JSON.parse(run('evaluate', folder, '--json', ...options).stdout);
    return [operatingPoint, thresholds, perLabel.glass_break.hit, perLabel.bang.hit];
  };
  const points = JSON.parse(run('model', '--json').stdout).operatingPoints;
  const [balanced, strict] = ['balanced', 'strict'].map((point) =>
    Object.fromEntries(Object.entries<{ open: number }>(points[point].labels).map(([label, { open }]) => [label, open])),
  );
  expect(hits()).toEqual(['balanced', balanced, 1, 1]);
  expect(hits('--operating-point', 'strict')).toEqual(['strict', strict, 1, 0]);
  expect(hits('--config', config)).toEqual(['strict', { ...strict, glass_break: 1, bang: 0.5 }, 0, 1]);
  expect(run('replay', join(folder, 'selftest.wav'), '--json', '--config', config).stdout).toMatch(/^.*"bang".*\n$/);
});

test('`evaluate` scores recordings by their label tracks as by a list, says which labels are no targets, and refuses a label behind the end', () => {
  const dir = join(folder, 'tracks');
  mkdirSync(dir);
  file('tracks/a.wav', mono);
  file('tracks/a.txt', '1.500000\t2.000000\tglass_break\n3.5\t4\tbang\n0.2\t0.4\ta door\n');
  const byTrack = JSON.parse(run('evaluate', dir, '--json').stdout);
  const { stdout } = run('evaluate', dir, '--out', join(folder, 'tracks.html'));
  expect(stdout.replace(/\s+/g, ' ')).toContain('Labelled as nothing to be reported: a door 1.');
  expect(run('evaluate', dir, '--out', join(dir, 'a.txt')).stderr).toContain('which belongs to the scenes');
  file('tracks/a.txt', '3.5\t9\tbang\n');
  expect(run('evaluate', dir, '--json').stderr).toMatch(/^Error: Expected labels within the 5 s of .*a.wav, got one at 9 s in a.txt\nTry: is it/);
  const events = [
    { onset: 1.5, offset: 2, label: 'glass_break' },
    { onset: 3.5, offset: 4, label: 'bang' },
    { onset: 0.2, offset: 0.4, kind: 'a door' },
  ];
  file('tracks/scenes.json', JSON.stringify([{ file: 'a.wav', seconds: byTrack.hours * 3600, events }]));
  expect(JSON.parse(run('evaluate', dir, '--json').stdout)).toEqual(byTrack);
  expect(byTrack.perLabel.bang.hit).toBe(1);
});

test('an unreadable file does not prevent the replay of the others', () => {
  const { status, stdout, stderr } = run('replay', file('bad.wav', 'no sound'), join(folder, 'gone.wav'), 'deploy/selftest.wav', '--json');
  expect(status).toBe(4);
  expect(JSON.parse(stdout.split('\n')[0] as string).file).toBe('deploy/selftest.wav');
  expect(stderr).toMatch(
    /^Error: .*bad.wav, got: no header.*\nTry: .*\nError: .*gone.wav, got: ENOENT.*\nTry: .*\nError: .*3 files, got 2 that .*\nTry: .*\n$/,
  );
});

test('on a terminal `evaluate` shows how many recordings it has heard, and gives the cursor back when one is refused', () => {
  const dir = join(folder, 'bar');
  mkdirSync(dir);
  for (const name of ['a.wav', 'b.wav']) file(`bar/${name}`, mono);
  for (const name of ['a.txt', 'b.txt']) file(`bar/${name}`, '');
  const shown = (env: NodeJS.ProcessEnv = {}) => {
    const command = `${process.execPath} agent/main.ts evaluate ${dir} --json`;
    return spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env: { ...process.env, TERM: 'xterm', ...env } }).stdout;
  };
  const [hide, show] = ['\u001b[?25l', '\u001b[?25h'];
  expect(shown()).toMatch(/0\/2 files.*2\/2 files/s);
  expect(shown({ TERM: 'dumb' })).not.toContain('/2 files');
  file('bar/b.wav', mono.subarray(0, 1000));
  const refused = shown();
  expect(refused).toMatch(/1\/2 files.*Error:/s);
  expect(refused.lastIndexOf(show)).toBeGreaterThan(refused.lastIndexOf(hide));
  expect(run('evaluate', dir, '--json').stderr).toMatch(/^Error: /);
});
