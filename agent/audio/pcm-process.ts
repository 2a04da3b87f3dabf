import type { MicrophoneFault } from '../lib/faults.ts';
import { CaptureChild, type CaptureChildOptions, earlierEnded, longestReadMs, plugAgain } from './capture-child.ts';
import { CaptureError } from './capture-error.ts';
import { openDownmix } from './downmix.ts';
import type { AudioFrame, AudioSource } from './frame.ts';
import { openLossCount } from './loss-count.ts';
import { soundFrom } from './pcm-reader.ts';
import { openStallWatch } from './stall.ts';

interface PcmProcessOptions extends CaptureChildOptions {
  /** Two are mixed to one (downmix.ts). */
  channels: 1 | 2;
  sampleRate: number;
  silenceTimeoutSeconds: number;
  monotonicMs: () => number;
  /**
   * Called with the child's process id once it delivers sound. Returns the rate of the hardware, if known. Throws if
   * the child has not opened what was asked for.
   */
  verify?: (pid: number) => number | undefined;
}

// with the 0.5 s that arecord buffers, less than the two seconds that may wait for a late reader
const pipeSeconds = 0.6; // rate-check.ts counts on it
const longestChunkSeconds = 0.5;
/** What to try, for faults where this does not depend on the configured device. */
const hints: Partial<Record<MicrophoneFault, string>> = {
  busy: 'sudo fuser -v /dev/snd/* shows which program holds it; for a trial: sudo systemctl stop tocsin-listener',
  unplugged: 'plug it in; tocsin devices lists what is there',
  stuck: plugAgain,
};

/**
 * Makes a source of a child process that writes 16-bit little-endian samples to its stdout. The child may
 * crash without harm.
 *
 * INVARIANTS: only the pipe and one buffer hold sound, and the buffer is overwritten once converted. Samples are
 * counted against the clock, so that a stall shows up as `dropped`. A child that gives nothing for
 * `silenceTimeoutSeconds`, or for half of a period twice as long (stall.ts), is killed; the source then ends whether
 * the child exits or not.
 */
export function openPcmProcess(options: PcmProcessOptions): AudioSource {
  const { command, channels, sampleRate, silenceTimeoutSeconds, monotonicMs, tryHint, verify } = options;
  const loss = openLossCount(sampleRate);
  let hardwareRate: number | undefined;
  const downmix = channels === 2 ? openDownmix(sampleRate) : undefined;
  const bytesOf = (seconds: number) => 2 * channels * Math.round(sampleRate * seconds);
  async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
    await earlierEnded(options, signal);
    if (signal.aborted) return;
    let afterOverrun = false;
    const overrun = (ms: number) => {
      afterOverrun = true;
      loss.overrun(ms, monotonicMs());
    };
    const child = new CaptureChild(options, bytesOf(pipeSeconds), overrun);
    signal.addEventListener('abort', child.stop, { once: true });
    let stalled = false;
    let received = 0;
    let askedMs = monotonicMs();
    const stall = openStallWatch(sampleRate, silenceTimeoutSeconds, askedMs);
    try {
      for await (const sound of soundFrom(child.descriptor, bytesOf(longestChunkSeconds), channels, downmix?.mix, () => child.isStopped)) {
        if (!sound) {
          stalled = stall.waited(longestReadMs, monotonicMs());
          if (stalled) child.stop();
          continue;
        }
        const count = sound.samples.length;
        if (count === 0) continue;
        if (received === 0) hardwareRate = verify?.(child.pid);
        const nowMs = monotonicMs();
        stall.arrived(count, nowMs);
        const frame = { ...sound, firstSample: loss.arrived(count, nowMs, nowMs - askedMs), afterOverrun };
        afterOverrun = false;
        yield frame;
        received += count;
        askedMs = monotonicMs();
      }
      if (signal.aborted) return;
      const ending = await child.ending(signal);
      const how = stalled ? `no sound for ${silenceTimeoutSeconds} s of the last ${2 * silenceTimeoutSeconds} s` : ending;
      const fault = stalled ? 'stuck' : faultOf(child.complaint, received > 0);
      const said = child.complaint ? ` (${lastWords(child.complaint, command)})` : '';
      throw new CaptureError(fault, `Expected ${command} to keep capturing, got: ${how}${said}`, hints[fault] ?? tryHint);
    } finally {
      loss.ended();
      signal.removeEventListener('abort', child.stop);
      child.leave();
    }
  }
  return {
    sampleRate,
    get dropped() {
      return loss.lost;
    },
    get hardwareRate() {
      return hardwareRate;
    },
    get antiphase() {
      return downmix?.antiphase ?? false;
    },
    frames,
  };
}

/**
 * The child's own last words. arecord puts its name before what failed, and may list a dozen parameters after that.
 * alsa-lib's account of its search, as long, only if the child said nothing.
 */
function lastWords(complaint: string, command: string): string {
  const lines = complaint.split('\n').filter((line) => line.trim() !== '');
  const named = lines.filter((line) => line.startsWith(`${command}: `));
  const own = lines.filter((line) => !line.startsWith('ALSA lib '));
  return ([named, own].find((some) => some.length > 0) ?? lines).slice(-2).join('; ').slice(-400);
}

/**
 * Returns the fault behind the last words of arecord (alsa-lib's strerror texts, PulseAudio's plug-in) or of the
 * web-audio child.
 */
function faultOf(complaint: string, heard: boolean): MicrophoneFault {
  if (/resource busy/i.test(complaint)) return 'busy';
  if (heard) return /input\/output error|no such device|bad state|disconnected/i.test(complaint) ? 'unplugged' : 'failed';
  return /no such (device|file|entity)|find card|card index|unknown pcm|connection refused|expected one of the inputs/i.test(complaint) ? 'absent' : 'failed';
}
