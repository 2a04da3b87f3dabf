import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { microphoneOpener } from '../../agent/audio/microphone.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { missing } from '../support/broker.ts';
import { openStreet } from '../support/pulse.ts';
import { startSupervised } from '../support/supervised.ts';

const withoutPulse = missing('pulseaudio', 'paplay', 'arecord');
// PulseAudio stands in for the driver: when frozen it gives nothing, and an unloaded source is gone. There is no USB
// bus.
describe.skipIf(withoutPulse)(`a microphone that fails and returns${withoutPulse ? ` (left out: ${withoutPulse})` : ''}`, () => {
  test('zeros, stuck, unplugged and absent are reported as faults, and hearing continues without a restart', async () => {
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

  const opened = (device: string, env: NodeJS.ProcessEnv) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    const value = { site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, microphone: { device } };
    return microphoneOpener(checkConfig(value, 'test').microphone, systemClock())();
  };

  test('two channels in antiphase are heard at their own level, not at that of their mean', async () => {
    const pulse = await openStreet(2);
    const value = (at: number) => 4000 * (Math.sin(at / 8) + Math.sin((2 * Math.PI * 120 * at) / 48_000));
    const sound = Int16Array.from({ length: 48_000 }, (_, i) => value(i >> 1) * (i % 2 ? 1 : -1)); // left and right alternate
    const wav = wavFile(sound, 48_000);
    wav.writeUInt16LE(2, 22); // channels
    wav.writeUInt32LE(4 * 48_000, 28);
    wav.writeUInt16LE(4, 32);
    const file = join(pulse.home, 'antiphase.wav');
    writeFileSync(file, wav);
    const stopPlaying = pulse.play(file);
    try {
      const source = await opened('pulse', pulse.env);
      let peak = 0;
      for await (const { samples } of source.frames(AbortSignal.timeout(20_000))) {
        peak = Math.max(peak, ...samples);
        if (peak > 0.2) break;
      }
      expect(peak).toBeCloseTo(8000 / 32768, 1);
      expect(source.antiphase).toBe(true);
    } finally {
      stopPlaying();
      await pulse.close();
    }
  });

  test('a device with one channel, and without conversion by ALSA, is heard', async () => {
    const HOME = mkdtempSync(join(tmpdir(), 'tocsin-alsa-'));
    writeFileSync(join(HOME, '.asoundrc'), 'pcm.bare { type multi slaves.a { pcm { type null } channels 1 } bindings.0 { slave a channel 0 } }');
    for await (const { samples } of (await opened('bare', { HOME })).frames(new AbortController().signal)) {
      expect(samples.length).toBeGreaterThan(0);
      break;
    }
    expect.assertions(1);
  });
});
