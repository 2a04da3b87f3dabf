// The listener's whole chain on the test sound, over and over at ten times its pace, on a clock that runs as fast: soak-listener.ts OUTBOX
// Says the sequence number of each event once it is stored. The microphone and its supervisor are not in it.
import { writeSync } from 'node:fs';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { openClock, systemClock } from '../../agent/lib/clock.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { listen } from '../../agent/pipeline.ts';
import { limits, silentLogger } from '../support/samples.ts';

const pace = 10;
const [path = ''] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
const real = systemClock();
// a boot of its own: the courier's monotonic clock is another
const clock = openClock({
  bootId: 'aaaaaaaa-7d3a-4f5b-9c8d-1e2f3a4b5c6d',
  wallMs: () => Date.UTC(2026, 10, 20) + pace * real.monotonicMs(),
  monotonicMs: () => pace * real.monotonicMs(),
  evidence: () => ({ hardwareMs: Date.UTC(2026, 10, 20) + pace * real.monotonicMs() }),
});
const patient = openPatientOutbox({ path, open: () => openSqliteOutbox(path, limits, { repair: true }), isDamage, logger: silentLogger });
const outbox: typeof patient = Object.create(patient, {
  append: {
    value(event: Parameters<typeof patient.append>[0]) {
      const fate = patient.append(event);
      if (fate === 'stored') writeSync(1, `${patient.newest()}\n`);
      return fate;
    },
  },
});
const classifier = await openOnnxClassifier('models/street');

async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
  const began = performance.now();
  let samples = 0;
  while (!signal.aborted) {
    const file = await openAudioFile('deploy/selftest.wav', 16_000, 'fast');
    for await (const frame of file.frames(signal)) {
      const due = began + (samples / 16_000 / pace) * 1000 - performance.now();
      if (due > 1) await new Promise((done) => setTimeout(done, due));
      const firstSample = samples;
      samples += frame.samples.length;
      yield { samples: frame.samples, firstSample };
    }
  }
}
const source: AudioSource = { sampleRate: 16_000, dropped: 0, frames };
const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://127.0.0.1' } }, 'soak');
await listen(config, { source, classifier, outbox, clock, logger: silentLogger }, stop.signal);
await classifier.close();
patient.close();
