import type { SoundEvent } from '../events/event.ts';
import type { Clock } from '../lib/clock.ts';
import type { PendingEvent } from '../outbox/outbox.ts';
import { stampOfEvent, timeOf } from './stamp.ts';

interface Sender {
  readonly outboxId: string;
  readonly site: string;
  readonly sensor: string;
  readonly historicalAfterSeconds: number;
}

/** The published form of a stored event. */
export function toCloudEvent(event: PendingEvent, sender: Sender, clock: Clock): SoundEvent {
  const { ms, quality, ageMs, ageKnown } = stampOfEvent(event, clock);
  const { label, confidence, durationSeconds, levelAboveBackgroundDb, soundPressureLevelDb, scores, sequence, bootId, model } = event;
  return {
    specversion: '1.0',
    id: `${sender.outboxId}-${sequence}`,
    source: `/tocsin/${sender.site}/${sender.sensor}`,
    type: 'org.tocsin.sound.detected.v1',
    time: timeOf(ms),
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
      clock: quality,
      historical: !ageKnown || ageMs > sender.historicalAfterSeconds * 1000,
    },
  };
}
