import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { microphoneOpener } from '../../agent/audio/microphone.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';
import { openStreet } from '../support/pulse.ts';
import { startSupervised } from '../support/supervised.ts';

const withoutPulse = missing('pulseaudio', 'paplay', 'arecord');
// PulseAudio stands for the driver: frozen it gives nothing, an unloaded source is gone. No USB bus is shown.
describe.skipIf(withoutPulse)(`a microphone that fails and returns${withoutPulse ? ` (left out: ${withoutPulse})` : ''}`, () => {
  test('silent, stuck, unplugged and absent are named, and hearing goes on without a restart', async () => {
    const pulse = await openStreet();
    Object.assign(process.env, pulse.env);
    const scene = join(mkdtempSync(join(tmpdir(), 'tocsin-scene-')), 'scene.wav');
    writeFileSync(scene, wavFile(synthesiseScene(), 16000));
    const { microphone } = checkConfig(
      { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device: 'pulse', silenceTimeoutSeconds: 3 } },
      'test',
    );
    const supervised = startSupervised(microphoneOpener(microphone, systemClock()), 3);
    await supervised.until('deaf', 'zeros', 10_000); // nobody plays to the sink
    const stopPlaying = pulse.play(scene);
    try {
      await supervised.until('listening', undefined, 30_000);
      pulse.freeze(true);
      const stuck = await supervised.until('deaf', 'stuck', 10_000);
      pulse.freeze(false);
      const thawed = await supervised.until('listening', undefined, 30_000);
      const opens = supervised.latest.hearing?.opens as number;
      pulse.unplug();
      const unplugged = await supervised.until('deaf', 'unplugged', 10_000);
      await supervised.until('deaf', 'absent', 20_000);
      pulse.plug();
      const plugged = await supervised.until('listening', undefined, 30_000);
      const seconds = [stuck, thawed, unplugged, plugged].map((ms) => (ms / 1000).toFixed(1));
      process.stdout.write(
        `PulseAudio: stuck named after ${seconds[0]} s and over after ${seconds[1]} s, unplugged after ${seconds[2]} s and over after ${seconds[3]} s\n`,
      );
      expect(supervised.latest.hearing?.opens).toBeGreaterThan(opens);
      await supervised.stop();
    } finally {
      stopPlaying();
      await pulse.close();
    }
  });
});
