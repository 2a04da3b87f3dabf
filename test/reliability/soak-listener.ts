// The listener's whole chain on the test sound, repeated at ten times its pace, on a clock as fast: soak-listener.ts
// OUTBOX
// Prints `stored ID SEQUENCE` for each stored event, and `fault NAME` for each fault that the supervisor names. Reads
// from stdin:
//   microphone none | absent | busy | unplugged | stuck | zeros | flat | clipped
// clock SECONDS          offset of the wall clock
// The microphone is a fake: it shows how the supervisor handles a fault, not that arecord or a driver would report it
// (test/integration/supervisor.test.ts and test/e2e/microphone.test.ts run arecord and a sound server).
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { CaptureError } from '../../agent/audio/capture-error.ts';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import { superviseMicrophone } from '../../agent/audio/supervisor.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { openClock, systemClock } from '../../agent/lib/clock.ts';
import type { MicrophoneFault } from '../../agent/lib/faults.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import { openHearingReport } from '../../agent/outbox/hearing-report.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { listen } from '../../agent/pipeline.ts';
import { limits, silentLogger } from '../support/samples.ts';
import { pace, soakBeganMs } from './soak-time.ts';

const [path = ''] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
const real = systemClock();
const truthMs = () => soakBeganMs + pace * real.monotonicMs();
let offMs = 0;
let microphone: MicrophoneFault | 'none' = 'none';
createInterface(process.stdin).on('line', (line) => {
  const [what, value = ''] = line.split(' ');
  if (what === 'clock') offMs = Number(value) * 1000;
  else microphone = value as MicrophoneFault | 'none';
});
// its own boot: the monotonic clock of the courier is another one
const clock = openClock({
  bootId: 'aaaaaaaa-7d3a-4f5b-9c8d-1e2f3a4b5c6d',
  wallMs: () => truthMs() + offMs,
  monotonicMs: () => pace * real.monotonicMs(),
  evidence: () => ({ hardwareMs: truthMs() }),
});
const patient = openPatientOutbox({ path, open: () => openSqliteOutbox(path, limits, { repair: true, reserve: true }), isDamage, logger: silentLogger });
const outbox: typeof patient = Object.create(patient, {
  append: {
    value(event: Parameters<typeof patient.append>[0]) {
      const fate = patient.append(event);
      if (fate === 'stored') writeSync(1, `stored ${patient.id} ${patient.newest()}\n`);
      return fate;
    },
  },
});
const classifier = await openOnnxClassifier('models/street');

// decoded once, so that the decoder's memory is not part of what is measured
const sound: Float32Array[] = [];
for await (const frame of (await openAudioFile('deploy/selftest.wav', 16_000, 'fast')).frames(stop.signal)) sound.push(frame.samples.slice());

const silenceSeconds = 5;
async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
  const began = performance.now();
  let samples = 0;
  while (!signal.aborted) {
    for (const heard of sound) {
      const due = began + (samples / 16_000 / pace) * 1000 - performance.now();
      if (due > 1) await new Promise((done) => setTimeout(done, due));
      if (microphone === 'absent' || microphone === 'busy' || microphone === 'unplugged') throw failure('unplugged');
      if (microphone === 'stuck') {
        await new Promise((done) => setTimeout(done, (silenceSeconds / pace) * 1000));
        throw failure('stuck');
      }
      const piece = heard.slice();
      if (microphone === 'zeros') piece.fill(0);
      else if (microphone === 'flat') piece.fill(0.01);
      else if (microphone === 'clipped') for (let i = 0; i < piece.length; i++) piece[i] = i % 2 ? 1 : -1;
      const firstSample = samples;
      samples += piece.length;
      yield { samples: piece, firstSample };
    }
  }
}
const failure = (fault: MicrophoneFault) => new CaptureError(fault, `a microphone that is ${fault}`, 'wait');
const open = async (): Promise<AudioSource> => {
  if (microphone === 'absent' || microphone === 'busy' || microphone === 'unplugged') throw failure(microphone === 'unplugged' ? 'absent' : microphone);
  return { sampleRate: 16_000, dropped: 0, frames };
};
const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://127.0.0.1' } }, 'soak');
const levels = openLevelHistory(
  () => undefined,
  () => undefined,
);
const record = openHearingReport({ outbox: patient, clock, logger: silentLogger, levels }, classifier.manifest, 600_000);
const noteBoot = openBootNote(patient, clock, silentLogger);
let toldFault: string | undefined;
await superviseMicrophone(
  {
    open,
    use: (source, signal) => listen(config, { source, classifier, outbox, clock, logger: silentLogger, level: levels.push }, signal),
    report(hearing) {
      record(hearing);
      noteBoot();
      if (hearing.fault && hearing.fault !== toldFault) writeSync(1, `fault ${hearing.fault}\n`);
      toldFault = hearing.fault;
    },
    clock,
    logger: silentLogger,
    random: Math.random,
    silenceSeconds,
  },
  stop.signal,
);
await classifier.close();
patient.close();
process.exit(0); // stdin is still open
