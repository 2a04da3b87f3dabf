import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import type { RecordedEvent } from '../../agent/events/event.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { listen } from '../../agent/pipeline.ts';
import { wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';
import { openStreet } from '../support/pulse.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

const without = missing('pulseaudio', 'pactl', 'paplay', 'arecord');

test.skipIf(without)(`calibrate measures a calibrator tone through a real capture chain${without ? ` (left out: ${without})` : ''}`, async () => {
  const street = await openStreet();
  const wav = join(street.home, 'tone.wav');
  const amplitude = 32767 * 10 ** (-26 / 20);
  writeFileSync(
    wav,
    wavFile(
      Int16Array.from({ length: 48000 * 20 }, (_, i) => Math.round(amplitude * Math.sin((2 * Math.PI * 1000 * i) / 48000))),
      48000,
    ),
  );
  const path = join(street.home, 'tocsin.yaml');
  writeFileSync(path, 'site: a\nsensor: b\nmicrophone: { device: pulse }\nmqtt: { url: mqtt://127.0.0.1 }\n');
  const player: ChildProcess = spawn('paplay', [wav], { env: street.env, stdio: 'ignore' });
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['agent/main.ts', 'calibrate', '-c', path, '--seconds', '2', '--wait', '15', '--json'], {
      env: street.env,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(Math.abs(JSON.parse(stdout).splAtFullScaleDb - 120)).toBeLessThanOrEqual(0.2);
    process.stdout.write(`calibrated through arecord: ${stdout}`);
  } finally {
    player.kill('SIGKILL');
    await street.close();
  }
});

test('`calibrate` stores nothing if one of two channels clips, even if the mean of both does not', () => {
  const home = mkdtempSync(join(tmpdir(), 'tocsin-calibrate-'));
  const path = join(home, 'tocsin.yaml');
  writeFileSync(path, 'site: a\nsensor: b\nmicrophone: { device: odd }\nmqtt: { url: mqtt://127.0.0.1 }\n');
  const before = readFileSync(path, 'utf8');
  // stands in for arecord, since no real device clips its second channel on purpose
  const samples =
    'map { $s = 34000 * sin($_ * 6.283185307 / 48); (327 * sin($_ * 6.283185307 / 48), $s > 32767 ? 32767 : $s < -32768 ? -32768 : $s) } 1..48000';
  const perl = `perl -e 'print pack("s<*", ${samples}) for 1..4'`;
  writeFileSync(join(home, 'arecord'), `#!/bin/sh\n${perl}\n`, { mode: 0o755 });
  const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', 'calibrate', '-c', path, '--seconds', '1', '--wait', '2'], {
    env: { ...process.env, PATH: `${home}:${process.env.PATH}` },
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 4, stderr: expect.stringContaining('clipped') });
  expect(readFileSync(path, 'utf8')).toBe(before);
});

test.each(['--wait=1', '--measure'])('`calibrate %s` ends with an error if a microphone only trickles', (how) => {
  const home = mkdtempSync(join(tmpdir(), 'tocsin-calibrate-'));
  const path = join(home, 'tocsin.yaml');
  writeFileSync(path, 'site: a\nsensor: b\nmicrophone: { device: odd }\nmqtt: { url: mqtt://127.0.0.1 }\n');
  writeFileSync(join(home, 'arecord'), '#!/bin/sh\nwhile printf abcdabcd; do sleep 0.2; done\n', { mode: 0o755 }); // stands in for arecord
  const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', 'calibrate', '-c', path, how, '--seconds', '1'], {
    env: { ...process.env, PATH: `${home}:${process.env.PATH}` },
    encoding: 'utf8',
    timeout: 90_000,
  });
  // both are due after 12 s, and on a busy machine either may come first
  const said =
    /^Error: Expected (1 s of sound from the microphone, got less in 12 s|arecord to keep capturing, got: no sound for \d+ s of the last 12 s)\nTry: /;
  expect({ status, stderr }).toEqual({ status: 4, stderr: expect.stringMatching(said) });
});

/** Returns the configuration of a sensor that hears a file instead of a microphone. */
function hearing(seconds: number, value = 3) {
  const home = mkdtempSync(join(tmpdir(), 'tocsin-calibrate-'));
  const path = join(home, 'tocsin.yaml');
  writeFileSync(join(home, 'quiet.wav'), wavFile(new Int16Array(16_000 * seconds).fill(value), 16_000));
  writeFileSync(path, `site: a\nsensor: b\nmicrophone: { adapter: file, file: ${join(home, 'quiet.wav')} }\nmqtt: { url: mqtt://127.0.0.1 }\n`);
  return path;
}

test.each([
  [['--seconds', '10', '--wait', '9'], 'Expected --wait of 10 or more, as long as the tone must be steady, got 9\nTry: wait longer'],
  [['--measure', '--wait', '9'], "'--measure', '--wait <seconds>'"],
  [['--measure', '--level', '114'], "'--measure', '--level <dB>'"],
  [['--measure', '--dry-run'], "'--measure', '--dry-run'"],
])('`calibrate %j` is refused before any sound is heard', (args, why) => {
  expect(spawnSync(process.execPath, ['agent/main.ts', 'calibrate', '-c', hearing(1), ...args], { encoding: 'utf8' })).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining(why),
  });
});

test('`calibrate --measure` reports the seconds that were heard, not those requested', () => {
  const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'calibrate', '--measure', '--seconds', '60', '--json', '-c', hearing(1)], {
    encoding: 'utf8',
  });
  expect(JSON.parse(stdout).seconds).toBe(1);
});

test.each([
  ['digital zeros', 1, 0, 'no sound to measure: 1 s heard, all of it exact zeros'],
  ['a file that is too short', 0.1, 3, 'too short to measure: expected 0.25 s at least, got less\nTry: take a longer recording'],
])('`calibrate --measure` gives no level for %s: %d s of samples at %d', (_, seconds, value, why) => {
  const args = ['agent/main.ts', 'calibrate', '--measure', '--seconds', '1', '--json', '-c', hearing(seconds, value)];
  expect(spawnSync(process.execPath, args, { encoding: 'utf8' })).toMatchObject({
    status: 4,
    stdout: '',
    stderr: expect.stringContaining(why),
  });
});

test('`calibrate` tells a dead microphone, and a recording that is too short, from a calibrator that is off', () => {
  const said = (seconds: number, value: number) =>
    spawnSync(process.execPath, ['agent/main.ts', 'calibrate', '--seconds', '1', '-c', hearing(seconds, value)], { encoding: 'utf8' });
  expect(said(2, 0)).toMatchObject({
    status: 4,
    stderr: expect.stringMatching(/^Error: no sound to measure: 2 s heard, all of it exact zeros\nTry: check the plug/),
  });
  expect(said(0.1, 3)).toMatchObject({
    status: 4,
    stderr: expect.stringMatching(/^Error: too short to measure: expected 0.25 s at least, got less\nTry: take/),
  });
  expect(said(2, 3)).toMatchObject({ status: 4, stderr: expect.stringMatching(/^Error: no 1 kHz tone stood out/) });
});

test('Ctrl-C ends `calibrate` with exit code 130 and leaves the configuration unchanged', async () => {
  const path = hearing(30);
  const before = readFileSync(path, 'utf8');
  const child = spawn(process.execPath, ['agent/main.ts', 'calibrate', '-c', path, '--seconds', '30'], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let [shown, said] = ['', ''];
  child.stdout.on('data', (words) => (shown += words));
  child.stderr.on('data', (words) => (said += words));
  await vi.waitFor(() => expect(shown.replace(/\s+/g, ' '), 'time to put the calibrator in place').toContain('for the tone, 55 s at most'), 10_000);
  child.kill('SIGINT');
  const [status] = await once(child, 'close');
  expect({ status, said }).toEqual({ status: 130, said: expect.stringContaining('got a stop by hand') });
  expect(readFileSync(path, 'utf8')).toBe(before);
});

test('events of a calibrated sensor have LAFmax in dB SPL; events of other sensors have no level in dB SPL', async () => {
  const classifier = await openOnnxClassifier('models/street');
  const heard = async (splAtFullScaleDb?: number) => {
    const stored: RecordedEvent[] = [];
    // the listener calls only `append`
    const outbox = { append: (event: RecordedEvent) => stored.push(event) } as unknown as Outbox;
    const microphone = splAtFullScaleDb === undefined ? {} : { splAtFullScaleDb };
    const config = checkConfig({ site: 'a', sensor: 'b', microphone, mqtt: { url: 'mqtt://localhost' } }, 'test');
    const source = await openAudioFile('deploy/selftest.wav', 48000, 'fast');
    await listen(config, { source, classifier, outbox, clock: fixedClock(), logger: silentLogger }, new AbortController().signal);
    return stored.map((event) => event.soundPressureLevelDb);
  };
  expect(await heard()).toEqual([undefined, undefined]);
  const [glass = 0, bang = 0] = await heard(120);
  expect(glass).toBeGreaterThan(95);
  expect(glass).toBeLessThan(120);
  const [glass2 = 0, bang2 = 0] = await heard(110);
  expect(glass - glass2).toBeCloseTo(10, 6);
  expect(bang - bang2).toBeCloseTo(10, 6);
  await classifier.close();
});
