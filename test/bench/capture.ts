// Compares the microphone adapters on one PulseAudio null sink: node test/bench/capture.ts [SECONDS].
// Needs pulseaudio, paplay and arecord.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { microphoneOpener } from '../../agent/audio/microphone.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';

const seconds = Number(process.argv[2] ?? 30);
oneFolderForThisCommand();
const home = mkdtempSync(join(tmpdir(), 'tocsin-bench-'));
mkdirSync(join(home, 'run'), { mode: 0o700 });
Object.assign(process.env, { HOME: home, XDG_RUNTIME_DIR: join(home, 'run'), PULSE_SERVER: `unix:${join(home, 'native')}` });
writeFileSync(join(home, 'scene.wav'), wavFile(synthesiseScene(), 16000));
spawn(
  'pulseaudio',
  [
    '-n',
    '--exit-idle-time=-1',
    '--use-pid-file=no',
    `--load=module-native-protocol-unix socket=${join(home, 'native')} auth-anonymous=1`,
    '--load=module-null-sink sink_name=street rate=48000',
  ],
  { stdio: 'ignore' },
);
while (spawnSync('pactl', ['set-default-source', 'street.monitor']).status !== 0);
const player = spawn('sh', ['-c', `while :; do paplay ${join(home, 'scene.wav')}; done`], { stdio: 'ignore', detached: true });
process.once('exit', () => process.kill(-(player.pid as number), 'SIGKILL'));

/** CPU seconds of this process and of its ended children: utime, stime, cutime and cstime of proc(5). */
function cpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) / 100;
}

for (const [adapter, device] of [
  ['alsa', 'pulse'],
  ['web-audio', 'default'],
] as const) {
  const { microphone } = checkConfig(
    { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { adapter, device, silenceTimeoutSeconds: 60 } },
    'bench',
  );
  const stop = new AbortController();
  const before = cpuSeconds();
  let samples = 0;
  let first = 0;
  let last = 0;
  for await (const frame of (await microphoneOpener(microphone, systemClock())()).frames(stop.signal)) {
    last = performance.now();
    if (first === 0) first = last;
    else samples += frame.samples.length;
    if (last - first > seconds * 1000) stop.abort();
  }
  await new Promise((resolve) => setTimeout(resolve, 500)); // the child is reaped, so that its time counts
  const expected = ((last - first) / 1000) * microphone.sampleRateHz;
  process.stdout.write(
    `${adapter.padEnd(10)} ${((100 * (cpuSeconds() - before)) / seconds).toFixed(1)} % of a core, ${((100 * (expected - samples)) / expected).toFixed(2)} % of samples missing against the clock\n`,
  );
}
process.exit(); // both children still run
