// Whether the microphone gives sound, and what sound.
import { CaptureError } from '../../audio/capture-error.ts';
import type { HearingRecord } from '../../events/health.ts';
import { messageOf } from '../../lib/errors.ts';
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
  const fault = facts.units?.['tocsin-listener.service']?.ActiveState === 'active' ? faultTold(probes, required(facts).outbox.path) : 'busy';
  if (fault === 'busy') return fail('doctor.microphone.busy', { device });
  if (fault !== 'none') return fail('doctor.microphone.deaf', { device, fault: text(`fault.${fault}`) });
  facts.sound = 'listener';
  return pass('doctor.microphone.listener', { device });
}

/**
 * Why the listener does not hear. `none` also if it has reported nothing in this boot, or if the outbox cannot be read,
 * which another check reports.
 */
function faultTold({ inspectOutbox, clock: { bootId } }: Probes, path: string): HearingRecord['fault'] {
  try {
    const { hearing } = inspectOutbox(path);
    return hearing?.bootId === bootId && hearing.state === 'deaf' ? hearing.fault : 'none';
  } catch {
    return 'none';
  }
}

const level: Check = {
  id: 'level',
  timeoutMs: 1000,
  needs: ['microphone'],
  run(_probes, { sound }) {
    if (sound === undefined || sound === 'file') return skip('doctor.level.file');
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
