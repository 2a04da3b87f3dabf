import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { wavFile } from '../demo/synthesise-scene.ts';
import { python, withoutTraining } from '../support/training.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-training-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const run = (code: string, path = '') =>
  spawnSync(python, ['-c', `import sys; sys.path.insert(0, 'models/training')\n${code}`], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${path}:${process.env.PATH}`, PYTHONDONTWRITEBYTECODE: '1' },
  });

describe.skipIf(withoutTraining)(`the training scripts${withoutTraining ? ` (left out: ${withoutTraining})` : ''}`, () => {
  test('load the right samples of a clip after the manifest or a file has changed', () => {
    const audio = join(folder, 'audio');
    mkdirSync(audio);
    const clip = (name: string, tenths: number) =>
      writeFileSync(
        join(audio, name),
        wavFile(
          new Int16Array(1600 * tenths).map((_, i) => (i % 2 ? 9000 : -9000)),
          16_000,
        ),
      );
    const names = ['a.wav', 'b.wav', 'c.wav'];
    names.forEach((name, i) => void clip(name, 10 + i));
    writeFileSync(
      join(audio, 'teacher.csv'),
      `path,start_s,top5,${'Glass,Shatter,Smash,Breaking,Shout,Yell,Screaming,Bellow,Whoop,Children shouting,Gunshot,Machine gun,Explosion,Fireworks,Firecracker,Bang,Boom'}\n`,
    );
    const load = (kept: readonly string[]) => {
      writeFileSync(join(audio, 'manifest.csv'), ['path,split,label,group,doubtful', ...kept.map((name) => `${name},train,glass,${name},`)].join('\n'));
      const { stdout, stderr } = run(`import corpus, json
print(json.dumps({c.path: len(c.samples) // 1600 for c in corpus.load('${audio}', '${join(folder, 'cache')}')[0]}))`);
      expect(stderr).toBe('');
      return JSON.parse(stdout);
    };
    expect(load(names)).toEqual({ 'a.wav': 10, 'b.wav': 11, 'c.wav': 12 });
    expect(load(names.slice(1))).toEqual({ 'b.wav': 11, 'c.wav': 12 });
    clip('c.wav', 15);
    expect(load(names)).toEqual({ 'a.wav': 10, 'b.wav': 11, 'c.wav': 15 });
    expect(readdirSync(join(folder, 'cache'))).toEqual(['train.npz']);
  });

  test('leave no folder for a package that was unpacked incompletely', () => {
    const tools = join(folder, 'tools');
    mkdirSync(join(tools, 'files'), { recursive: true });
    for (const name of ['a.wav', 'b.OGG', 'c.txt']) writeFileSync(join(tools, 'files', name), name);
    const tool = (name: string, lines: string) => {
      writeFileSync(join(tools, name), `#!/bin/sh\n${lines}\n`);
      chmodSync(join(tools, name), 0o755);
    };
    tool('apt-get', 'echo > game.deb');
    tool('dpkg-deb', `[ "$1" = -f ] && echo 1.0 || exec /bin/tar -c -C '${tools}/files' .`);
    const fetch = (name: string) => run(`import packages\nprint(packages.fetch('game', '${join(folder, 'packages', name)}', []))`, tools);
    expect(fetch('whole')).toMatchObject({ stdout: '1.0\n', status: 0 });
    expect(readdirSync(join(folder, 'packages', 'whole')).sort()).toEqual(['a.wav', 'b.OGG']);
    tool('tar', '/bin/tar "$@"\n[ "$1" != -x ] || exit 2');
    expect(fetch('partial').status).toBe(1);
    expect(existsSync(join(folder, 'packages', 'partial'))).toBe(false);
    expect(readdirSync(join(folder, 'packages'))).toEqual(['whole']);
  });

  test('report no rate without targets if all scenes have a target', () => {
    const events = join(folder, 'events.ndjson');
    writeFileSync(events, '');
    const report = (scenes: string) => run(`import card_figures\ncard_figures.report(${scenes}, '${events}')`);
    const busy = "{'file': 'a', 'seconds': 60, 'events': [{'label': 'bang', 'onset': 1, 'offset': 2, 'snr': 0}]}";
    expect(report(`[${busy}]`)).toMatchObject({ stderr: '', stdout: expect.stringContaining('False alarms: 0.0 an hour over all scenes.\n') });
    expect(report(`[${busy}, {'file': 'b', 'seconds': 60, 'events': []}]`).stdout).toContain(
      'over all scenes; 0.0 an hour (0.00 to 0.00) in the 0.02 h without a target.\n',
    );
  });
});
