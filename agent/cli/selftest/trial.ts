import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { openAudioFile } from '../../audio/audio-file.ts';
import type { AudioSource } from '../../audio/frame.ts';
import { microphoneOpener } from '../../audio/microphone.ts';
import { openOnnxClassifier } from '../../classify/onnx-classifier.ts';
import { shownUrl } from '../../config/problems.ts';
import type { Config } from '../../config/schema.ts';
import { readCredentials } from '../../config/secrets.ts';
import { type ClosedProbe, closedProbe } from '../../delivery/closed-publisher.ts';
import { linkFaultOf } from '../../delivery/link-fault.ts';
import { openMqttProbe } from '../../delivery/mqtt-probe.ts';
import { clientIdOf, topicsOf } from '../../delivery/topics.ts';
import type { SoundEvent } from '../../events/event.ts';
import { closedForm } from '../../events/published.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { tenth } from '../../lib/rounding.ts';
import { stopIf } from '../../lib/stop.ts';
import { unusableFile } from '../doctor/credential-checks.ts';
import { type Text, text } from '../translate.ts';
import { fixed } from '../typography.ts';
import { at, BrokenChain, broken, recognise, send, store } from './chain.ts';
import { openTrace, type Trace } from './trace.ts';

const sound = fileURLToPath(new URL('../../../deploy/selftest.wav', import.meta.url));

export type Step = 'sound' | 'heard' | 'stored' | 'accepted' | 'returned';
export type Latency = Partial<Record<Exclude<Step, 'sound'>, number>>;

/**
 * The source of the sound: played through `speaker`, made by a person (`ask`), or with neither the bundled file,
 * without a microphone.
 */
export interface TrialOptions {
  readonly speaker?: string | true | undefined;
  readonly ask?: boolean;
  readonly oneWay?: boolean | undefined;
  readonly seconds: number;
}

export interface TrialProgress {
  /** Told after each step. */
  done(step: Step, what: Text, ms?: number): void;
  /** Filled in as the trial goes on, and of use also where it breaks. */
  readonly latencyMs: Latency;
  /** Told what the trial looked like, also where nothing was recognised. */
  traced?(trace: Trace): void;
}

/** A sound goes in, and its event comes back from the broker. Throws a BrokenChain that says where it did not. */
export async function runTrial(config: Config, options: TrialOptions, clock: Clock, signal: AbortSignal, progress: TrialProgress): Promise<SoundEvent> {
  const done = (step: Step, what: Text, ms?: number) => {
    if (step !== 'sound' && ms !== undefined) progress.latencyMs[step] = tenth(ms);
    progress.done(step, what, ms);
  };
  const event = await hearAndStore(config, options, clock, signal, done, progress);
  stopIf(signal);
  // opened only now: a link that idles through a long wait for a sound would be another test
  const link = await at('broker', () => openLink(config));
  try {
    const { acceptedMs, returnedMs, topic } = await send(link, event, config, clock, options.oneWay ?? false);
    done('accepted', text('selftest.accepted.ok', { broker: shownUrl(config.mqtt.url) }), acceptedMs);
    done('returned', returnedMs === undefined ? text('selftest.returned.oneWay') : text('selftest.returned.ok', { topic }), returnedMs);
  } finally {
    await link.close();
  }
  return event;
}

/** From the onset of the sound to the broker. */
export function wholeMs({ heard = 0, stored = 0, accepted = 0, returned }: Latency): number {
  return Math.round(heard + stored + (returned ?? accepted));
}

async function hearAndStore(config: Config, options: TrialOptions, clock: Clock, signal: AbortSignal, done: TrialProgress['done'], { traced }: TrialProgress) {
  const classifier = await at('model', () => openOnnxClassifier(config.model.path));
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const trace = traced && openTrace(classifier.frameSeconds);
  const timer = options.speaker || options.ask ? setTimeout(() => over.abort(), options.seconds * 1000) : undefined; // a file has an end of its own
  try {
    const { source, what } = await at('microphone', () => openSound(config, options, clock, until));
    done('sound', what);
    const recognised = await recognise(source, classifier, config, clock, until, trace).catch((error: unknown) => {
      if (trace) traced(trace.read());
      stopIf(signal); // when time is up, the chain says where it broke
      throw error;
    });
    if (trace) traced(trace.read(recognised.heard.detection.onsetSeconds));
    const { detection, aboveBackgroundDb } = recognised.heard;
    const level = Math.round(aboveBackgroundDb);
    done('heard', text('selftest.heard.ok', { label: text(`label.${detection.label}`), confidence: fixed(detection.confidence, 2), level }), recognised.ms);
    const { event, ms } = await store(recognised, config, clock);
    done('stored', text('selftest.stored.ok'), ms);
    return event;
  } finally {
    clearTimeout(timer);
    over.abort();
    await classifier.close();
  }
}

async function openSound(config: Config, options: TrialOptions, clock: Clock, until: AbortSignal): Promise<{ source: AudioSource; what: Text }> {
  const { seconds } = options;
  if (!options.speaker && !options.ask) {
    const source = await openAudioFile(sound, config.microphone.sampleRateHz, 'realtime');
    return { source, what: text('selftest.sound.file', { seconds: source.seconds }) };
  }
  // silence before the sound is no fault here: the wait itself has an end
  const source = await microphoneOpener({ ...config.microphone, silenceTimeoutSeconds: seconds + 5 }, clock)();
  if (options.ask) return { source, what: text('selftest.sound.ask', { file: sound, seconds }) };
  const device = options.speaker === true ? 'default' : (options.speaker as string);
  return { source: playing(source, device, until), what: text('selftest.sound.speaker', { device, microphone: config.microphone.device }) };
}

/**
 * Repeats the test sound from the first captured frame until the source is closed. Throws a BrokenChain if it cannot be
 * played.
 */
function playing(source: AudioSource, device: string, until: AbortSignal): AudioSource {
  return {
    ...source,
    async *frames(stop) {
      const silence = new AbortController();
      let started = false;
      let failed: Error | undefined;
      const play = (): void => {
        if (silence.signal.aborted || until.aborted) return;
        const player = spawn('aplay', ['-q', '-D', device, sound], { stdio: ['ignore', 'ignore', 'pipe'], signal: silence.signal, killSignal: 'SIGKILL' });
        player.unref(); // one that is blocked in a driver does not end, and must not keep this process from ending
        let said = '';
        player.stderr.setEncoding('utf8').on('data', (words: string) => {
          said = (said + words).slice(-4000);
        });
        player.on('error', (error) => {
          said = messageOf(error);
          player.stderr.destroy();
        });
        player.on('close', (code) => {
          if (code === 0) play();
          else failed = broken('speaker', 'selftest.speaker', { device, reason: said.trim().split('\n').at(-1) ?? '' });
        });
      };
      try {
        for await (const frame of source.frames(stop)) {
          if (failed) throw failed;
          if (!started) play();
          started = true;
          yield frame;
        }
      } finally {
        silence.abort();
      }
    },
  };
}

async function openLink(config: Config): Promise<ClosedProbe> {
  const { mqtt, site, sensor } = config;
  const named = (error: unknown): never => {
    const fault = linkFaultOf(error);
    if (fault === 'other') throw error;
    throw broken('broker', 'selftest.link', { broker: shownUrl(mqtt.url), what: text(`link.${fault}`) });
  };
  const credentials = readCredentials(mqtt);
  const unusable = unusableFile(credentials);
  if (unusable?.hint) throw new BrokenChain('broker', unusable.found, unusable.hint);
  const probe = await openMqttProbe(mqtt, credentials, clientIdOf(config, 'selftest'), mqtt.ackTimeoutSeconds * 1000).catch(named);
  return closedProbe(probe, closedForm(topicsOf(site, sensor)));
}
