// Whether the microphone gives sound, and what sound.
import { CaptureError } from '../../audio/capture-error.ts';
import { messageOf } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { lastTold } from '../last-told.ts';
import { spanText } from '../span.ts';
import { text } from '../translate.ts';
import { fixed } from '../typography.ts';
import { type Check, type Facts, type Finding, fail, pass, required, skip, warn } from './check.ts';
import type { Probes, SoundSample } from './probes.ts';

const listenSeconds = 2;

const microphone: Check = {
  id: 'microphone',
  timeoutMs: (2 * listenSeconds + 2.5) * 1000,
  needs: ['config'],
  after: ['services'],
  async run(probes, facts, signal) {
    const { microphone: settings } = required(facts);
    const { adapter, device, file } = settings;
    if (adapter === 'file') {
      facts.sound = 'file';
      return probes.presence(file as string) !== 'there'
        ? fail('doctor.microphone.noFile', { file: file as string })
        : warn('doctor.microphone.file', { file: file as string });
    }
    try {
      let sample = await probes.listen(settings, listenSeconds, signal);
      const isOff = ({ rate }: SoundSample) => Math.abs(rate - 1) > 0.05;
      // once more: a busy board that reads late catches up, and looks like a microphone that is fast
      if (sample.samples > 0 && isOff(sample)) sample = await probes.listen(settings, listenSeconds, signal);
      facts.sound = sample;
      const percent = Math.round(sample.rate * 100);
      if (sample.samples === 0) return fail('doctor.microphone.stalled', { device });
      if (isOff(sample)) return fail('doctor.microphone.slow', { device, percent });
      const { hardwareRate: hz = Infinity } = sample;
      return hz < settings.sampleRateHz ? warn('doctor.microphone.rate', { device, hz, half: hz / 2 }) : pass('doctor.microphone.ok', { device, percent });
    } catch (error) {
      return deaf(error, device, probes, facts);
    }
  },
};

/** Why a capture did not start or go on, from the fault and what arecord or the web-audio child said. */
function deaf(error: unknown, device: string, probes: Probes, facts: Facts): Finding {
  const said = messageOf(error);
  const fault = error instanceof CaptureError ? error.fault : undefined;
  const reason = (/open error: ([^()]+)/.exec(said)?.[1] ?? said.replace(/^.*?, got:? /s, '')).replace(/\s+/g, ' ').slice(0, 120);
  if (fault === 'wrong_device') return fail('doctor.microphone.wrong', { device, reason });
  if (/ENOENT/.test(said)) return fail('doctor.microphone.tool', { tool: /spawn (\S+)/.exec(said)?.[1] ?? 'arecord' });
  if (/busy/i.test(said)) return held(device, probes, facts);
  if (/permission denied|not permitted/i.test(said)) return fail('doctor.microphone.forbidden', { device });
  if (/no sound for/.test(said)) return fail('doctor.microphone.stalled', { device });
  if (
    fault === 'absent' ||
    /no such (file|device|entity)|unknown pcm|cannot (find|get) card|no default|expected one of the inputs|connection refused|SIGABRT/i.test(said)
  )
    return fail('doctor.microphone.absent', { device, reason });
  return fail('doctor.microphone.other', { device, reason });
}

/** Of a microphone that is in use: whether the listener has it, and hears, it has told itself. */
function held(device: string, probes: Probes, facts: Facts): Finding {
  if (facts.units?.['tocsin-listener.service']?.ActiveState !== 'active') return fail('doctor.microphone.busy', { device });
  const config = required(facts);
  const told = ifPossible(() => lastTold(probes.inspectOutbox(config.outbox.path), config, probes.clock)); // an outbox that cannot be read is another check's
  if (told?.state === 'deaf' && told.fault !== 'none')
    return told.fault === 'busy' ? fail('doctor.microphone.busy', { device }) : fail('doctor.microphone.deaf', { device, fault: text(`fault.${told.fault}`) });
  facts.sound = 'listener';
  if (!told) return pass('doctor.microphone.listener', { device });
  // no failure: its reports are late as well where the disk takes none, and that is another check's
  if (told.silent) return warn('doctor.microphone.silent', { device, age: spanText(told.agoMs) });
  facts.told = told;
  const { share, elapsedSeconds } = told;
  if (told.missed) return warn('doctor.microphone.missed', { device, share: fixed(share, 1), span: spanText(elapsedSeconds * 1000) });
  return pass('doctor.microphone.listener', { device });
}

const level: Check = {
  id: 'level',
  timeoutMs: 1000,
  needs: ['microphone'],
  run(_probes, { sound, told }) {
    if (sound === undefined || sound === 'file') return skip('doctor.level.file');
    if (told?.fault === 'clipped') return warn('doctor.level.loud');
    if (told && told.suspicion !== 'none') return warn(`doctor.level.${told.suspicion}`);
    if (sound === 'listener') return skip('doctor.level.listener');
    const levelDb = Math.round(sound.levelDb);
    if (sound.zeros) return fail('doctor.level.zeros');
    if (sound.flat) return fail('doctor.level.flat', { level: Math.round(sound.peakDb) });
    if (sound.clippedShare > 0.001) return warn('doctor.level.clipped', { percent: fixed(sound.clippedShare * 100, 1) });
    if (sound.levelDb < -75) return warn('doctor.level.quiet', { level: levelDb });
    return pass('doctor.level.ok', { level: levelDb, peak: Math.round(sound.peakDb) });
  },
};

export const soundChecks = [microphone, level] as const;
