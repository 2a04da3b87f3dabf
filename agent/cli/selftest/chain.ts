import { existsSync, lstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CaptureError } from '../../audio/capture-error.ts';
import type { AudioSource } from '../../audio/frame.ts';
import { openSoundLevelMeter } from '../../audio/sound-level.ts';
import type { Classifier } from '../../classify/classifier.ts';
import type { ModelManifest } from '../../classify/model-manifest.ts';
import { rulesOf } from '../../classify/rules.ts';
import type { Config } from '../../config/schema.ts';
import type { ClosedProbe } from '../../delivery/closed-publisher.ts';
import { toCloudEvent } from '../../delivery/to-cloud-event.ts';
import { topicsOf } from '../../delivery/topics.ts';
import type { RecordedEvent, SelftestMessage, SoundEvent } from '../../events/event.ts';
import type { Clock } from '../../lib/clock.ts';
import { isDenied, ModelError, messageOf, TocsinError } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { openSqliteOutbox } from '../../outbox/sqlite-outbox.ts';
import { inspectOutbox, isMade } from '../../outbox/view-outbox.ts';
import { type HearCallbacks, type Heard, hear, recordOf } from '../../pipeline.ts';
import { type MessageKey, type Text, text, type Value } from '../translate.ts';
import type { TraceRecorder } from './trace.ts';

export type ChainLink = 'speaker' | 'microphone' | 'model' | 'outbox' | 'broker' | 'acl';

/** Where the chain broke, why, and what to try. */
export class BrokenChain extends Error {
  readonly link: ChainLink;
  readonly reason: Text | string;
  readonly hint: Text | string;
  constructor(link: ChainLink, reason: Text | string, hint: Text | string) {
    super(link);
    this.link = link;
    this.reason = reason;
    this.hint = hint;
  }
}

export function broken(link: ChainLink, key: MessageKey, values: Record<string, Value> = {}): BrokenChain {
  return new BrokenChain(link, { key, values }, { key: `${key}.try` as MessageKey, values });
}

/** Runs a step; an error with a hint of its own becomes a break at this link. */
export async function at<T>(link: ChainLink, step: () => Promise<T> | T): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof TocsinError) throw new BrokenChain(link, error.message, error.tryHint);
    throw error;
  }
}

interface Recognised {
  readonly heard: Heard;
  readonly recorded: RecordedEvent;
  /** From the onset to the moment at which it was sure. */
  readonly ms: number;
}

const quietDb = -50; // a test sound that stays under this did not reach the microphone

/** Hears until the first sound is sure. */
export async function recognise(
  source: AudioSource,
  classifier: Classifier & { readonly manifest: ModelManifest },
  config: Config,
  clock: Clock,
  signal: AbortSignal,
  trace?: TraceRecorder,
): Promise<Recognised> {
  const enough = new AbortController();
  const { splAtFullScaleDb } = config.microphone;
  const soundLevel = openSoundLevelMeter(source.sampleRate);
  let beganMs = 0;
  let [low, high] = [1, -1];
  let first: Recognised | undefined;
  let more = trace ? source.sampleRate : 0; // samples heard on after the sound was sure, for the trace: a second
  const watched: AudioSource = {
    ...source,
    async *frames(stop) {
      for await (const frame of source.frames(stop)) {
        beganMs ||= clock.monotonicMs() - (frame.samples.length / source.sampleRate) * 1000;
        for (const sample of frame.samples) {
          low = Math.min(low, sample);
          high = Math.max(high, sample);
        }
        if (first) more -= frame.samples.length;
        if (more < 0) enough.abort();
        yield frame;
      }
    },
  };
  const confirmed = (heard: Heard) => {
    if (!first) {
      const onsetMonotonicMs = beganMs + heard.detection.onsetSeconds * 1000;
      const recorded = recordOf(heard, onsetMonotonicMs, { clock, model: classifier.manifest, soundLevel, splAtFullScaleDb });
      first = { heard, recorded, ms: clock.monotonicMs() - onsetMonotonicMs };
    }
    if (!trace) enough.abort();
  };
  try {
    const frame = (samples: Float32Array) => soundLevel.push(samples);
    const on: HearCallbacks = { confirmed, frame, ...(trace ? { level: trace.level, scored: ({ scores }) => trace.score(scores) } : {}) };
    await hear(watched, classifier, rulesOf(classifier.manifest, config.model), on, AbortSignal.any([signal, enough.signal]));
  } catch (error) {
    if (!(error instanceof TocsinError)) throw error;
    if (error instanceof CaptureError && error.fault === 'busy') throw broken('microphone', 'selftest.busy');
    throw new BrokenChain(error instanceof ModelError ? 'model' : 'microphone', error.message, error.tryHint);
  }
  if (first) return first;
  if (beganMs === 0) throw broken('microphone', 'selftest.nothing');
  const peak = Math.max(0, high - low) / 2; // an offset, which many converters have, is no sound
  const level = Math.round(20 * Math.log10(peak + 1e-5));
  throw level < quietDb ? broken('microphone', 'selftest.silent', { level }) : broken('model', 'selftest.unrecognised', { level });
}

/** Stores the sound in an outbox of its own on the disk of the real one, reads it back, and takes it away again. */
export async function store({ recorded }: Recognised, config: Config, clock: Clock): Promise<{ event: SoundEvent; ms: number }> {
  const { path } = config.outbox;
  const folder = dirname(path);
  if (!existsSync(folder)) throw broken('outbox', 'selftest.noFolder', { folder });
  try {
    if (isMade(path)) inspectOutbox(path);
  } catch (error) {
    if (isDenied(error)) throw broken('outbox', 'selftest.forbidden', { path });
    if (error instanceof TocsinError) throw new BrokenChain('outbox', error.message, error.tryHint);
    throw broken('outbox', 'selftest.unreadable', { path, reason: messageOf(error) });
  }
  const safe = dirname(config.privacy.recordPath);
  const own = trialFolder(isRootsOnThatDisk(safe, folder) ? safe : folder);
  try {
    return await at('outbox', () => {
      const outbox = openSqliteOutbox(join(own, 'outbox.db'), config.outbox);
      try {
        const began = performance.now();
        outbox.append(recorded);
        const ms = performance.now() - began;
        const [pending] = outbox.pending(0, 1);
        if (!pending) throw broken('outbox', 'selftest.unreadable', { path: own, reason: 'empty' });
        const { site, sensor, mqtt } = config;
        return { event: toCloudEvent(pending, { outboxId: outbox.id, site, sensor, historicalAfterSeconds: mqtt.historicalAfterSeconds }, clock), ms };
      } finally {
        outbox.close();
      }
    });
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

/**
 * Whether this is root, and only root may write to a folder on the same disk: beside the outbox a half could put a link
 * in the place of what root makes there, and root would make its files where that leads.
 */
function isRootsOnThatDisk(safe: string, folder: string): boolean {
  const found = ifPossible(() => lstatSync(safe));
  if (process.geteuid?.() !== 0 || !found?.isDirectory()) return false;
  return found.uid === 0 && (found.mode & 0o022) === 0 && found.dev === statSync(folder).dev;
}

function trialFolder(folder: string): string {
  try {
    return mkdtempSync(join(folder, 'selftest-'));
  } catch (error) {
    if (isDenied(error)) throw broken('outbox', 'selftest.forbidden', { path: folder });
    throw new BrokenChain('outbox', messageOf(error), text('selftest.unreadable.try'));
  }
}

/** Subscribes to the sensor's selftest topic; `back` resolves when an event with this id has come back. */
async function subscribe(link: ClosedProbe, topic: string) {
  const seen = new Map<string, number>();
  let wake = () => {};
  const code = await link.subscribe(topic, (payload) => {
    const id = ifPossible(() => (JSON.parse(payload) as SelftestMessage).event?.id);
    if (id === undefined) return;
    seen.set(id, performance.now());
    wake();
  });
  return {
    code,
    back: (id: string, timeoutMs: number): Promise<number | undefined> =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve(undefined), timeoutMs);
        wake = () => {
          const arrived = seen.get(id);
          if (arrived === undefined) return;
          clearTimeout(timer);
          resolve(arrived);
        };
        wake();
      }),
  };
}

/** Publishes the event as a test and, unless `oneWay`, waits until the broker gives it back. */
export async function send(link: ClosedProbe, event: SoundEvent, config: Config, clock: Clock, oneWay: boolean) {
  const topic = topicsOf(config.site, config.sensor).selftest;
  const subscription = oneWay ? undefined : await at('broker', () => subscribe(link, topic));
  const message: SelftestMessage = { test: 'sound', bootId: clock.bootId, event };
  const began = performance.now();
  const returning = subscription?.back(event.id, config.mqtt.ackTimeoutSeconds * 1000);
  const code = await at('broker', () => link.publish(topic, JSON.stringify(message)));
  if (code >= 128) throw broken('acl', 'selftest.refused', { topic, code });
  const acceptedMs = performance.now() - began;
  const arrived = await returning;
  if (!oneWay && arrived === undefined) throw broken('acl', 'selftest.notReturned', { topic });
  return { topic, acceptedMs, ...(arrived === undefined ? {} : { returnedMs: arrived - began }) };
}
