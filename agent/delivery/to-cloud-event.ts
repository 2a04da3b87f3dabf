import type { SoundEvent } from '../events/event.ts';
import type { Clock } from '../lib/clock.ts';
import type { PendingEvent } from '../outbox/outbox.ts';

export interface Sender {
  readonly outboxId: string;
  readonly site: string;
  readonly sensor: string;
  readonly historicalAfterSeconds: number;
}

/**
 * The published form of a stored event. An event heard before the clock was set, in this boot, is put right once the
 * clock is: its age on the monotonic clock is subtracted from the time now. From an earlier boot that cannot be known.
 */
export function toCloudEvent(event: PendingEvent, sender: Sender, clock: Clock): SoundEvent {
  const correctable = !event.clockSynchronised && event.bootId === clock.bootId && clock.synchronised();
  const ageMs = event.bootId === clock.bootId ? clock.monotonicMs() - event.onsetMonotonicMs : clock.wallMs() - event.onsetWallMs;
  const onsetMs = correctable ? clock.wallMs() - ageMs : event.onsetWallMs;
  const { label, confidence, durationSeconds, levelAboveBackgroundDb, soundPressureLevelDb, scores, sequence, bootId, model } = event;
  return {
    specversion: '1.0',
    id: `${sender.outboxId}-${sequence}`,
    source: `/tocsin/${sender.site}/${sender.sensor}`,
    type: 'org.tocsin.sound.detected.v1',
    time: new Date(onsetMs).toISOString(),
    datacontenttype: 'application/json',
    dataschema: 'urn:tocsin:schema:sound-detected:1',
    data: {
      label,
      confidence,
      durationSeconds,
      levelAboveBackgroundDb,
      ...(soundPressureLevelDb === undefined ? {} : { soundPressureLevelDb }),
      scores,
      sequence,
      bootId,
      model,
      clock: event.clockSynchronised ? 'synchronised' : correctable ? 'corrected' : 'unsynchronised',
      historical: ageMs > sender.historicalAfterSeconds * 1000,
    },
  };
}
