import { createHmac } from 'node:crypto';
import type { Model } from '../events/event.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from '../outbox/outbox.ts';
import type { CourierNotes } from './courier-notes.ts';

const mostBoots = 64;
const mostModels = 16;
const lookAgainMs = 60_000;
const unknownModel: Model = { name: 'unknown', version: '0' };

interface KnownNamesParts {
  readonly outbox: Outbox;
  readonly notes: CourierNotes;
  readonly clock: Pick<Clock, 'bootId' | 'monotonicMs'>;
  readonly logger: Logger;
  /** The model that is installed. May throw. */
  readonly installed: () => Model;
}

/**
 * The outbox, with no boot and no model in it that the courier does not know: in these names a listener that was
 * replaced could write what it likes. Known are the boots in which a courier ran and the models that were installed
 * then. Of another boot a name is made that is the same each time; another model is `unknown`.
 */
export function withKnownNames({ outbox, notes, clock, logger, installed }: KnownNamesParts): Outbox {
  let lookMs = Number.NEGATIVE_INFINITY;
  const isKnown = (model: Model) => notes.current.models.some(({ name, version }) => name === model.name && version === model.version);
  look();

  /** Learns this boot and the installed model, which may have been changed since the courier started. */
  function look(): void {
    if (clock.monotonicMs() < lookMs) return;
    lookMs = clock.monotonicMs() + lookAgainMs;
    const { boots, models } = notes.current;
    const model = ifPossible(() => nameOf(installed()));
    const news = {
      ...(boots.includes(clock.bootId) ? {} : { boots: [...boots, clock.bootId].slice(-mostBoots) }),
      ...(model === undefined || isKnown(model) ? {} : { models: [...models, model].slice(-mostModels) }),
    };
    if (Object.keys(news).length === 0) return;
    try {
      notes.change(news);
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'a boot or a model cannot be noted: its events may be named otherwise after the next restart');
    }
  }

  function named<T extends { readonly bootId: string; readonly model: Model }>(row: T): T {
    const { bootId, model } = row;
    if (!isKnown(model)) look();
    return {
      ...row,
      bootId: notes.current.boots.includes(bootId) ? bootId : madeUp(bootId, notes.current.secret),
      model: isKnown(model) ? model : unknownModel,
    };
  }

  const over: Partial<Outbox> = {
    pending: (after, limit) => outbox.pending(after, limit).map(named),
    summaries: (limit, after) => outbox.summaries(limit, after).map(named),
    readHearing() {
      const record = outbox.readHearing();
      return record && named(record);
    },
  };
  return new Proxy(outbox, {
    get(target, key) {
      const value = over[key as keyof Outbox] ?? Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const nameOf = ({ name, version }: Model): Model => ({ name, version }); // what is given may be a whole manifest

/** A UUID of version 8 (RFC 9562) of which the caller can choose no bit. */
function madeUp(bootId: string, secret: string): string {
  const digest = createHmac('sha256', Buffer.from(secret, 'hex')).update(bootId).digest('hex');
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-a${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
}
