// How the courier itself stands with the broker, beside what a check's own connection shows.
import { readLinkWords } from '../../delivery/link.ts';
import { text } from '../translate.ts';
import { type Facts, type Finding, warn } from './check.ts';

/** What the courier says of its own connection, where systemd tells it. */
export function courierLink({ units }: Facts) {
  const { ActiveState, StatusText = '' } = units?.['tocsin-courier.service'] ?? {};
  return ActiveState === 'active' ? readLinkWords(StatusText) : undefined;
}

/**
 * The broker takes what is configured now, by another client id. The courier may still use credentials that it read
 * before, or have lost its place to another client of its id.
 */
export function courierKeptOut(facts: Facts): Finding | undefined {
  const { state } = courierLink(facts) ?? {};
  if (state === undefined || state === 'connecting' || state === 'connected') return undefined;
  return state === 'session_taken' ? warn('doctor.broker.taken') : warn('doctor.broker.courier', { what: text(`link.${state}`) });
}

/**
 * What the courier sends is not taken, although a message of this check was: behind one address there may be several
 * brokers, with a subscriber at one of them alone, or the courier has not tried again yet.
 */
export function courierRefused(facts: Facts): Finding | undefined {
  const { refusal = 'none' } = courierLink(facts) ?? {};
  if (refusal === 'beyond_rate') return warn('doctor.acl.rate');
  return refusal === 'none' ? undefined : warn('doctor.acl.courier', { what: text(`refusal.${refusal}`) });
}

/** A check ran out of time, but the courier, which takes more, has its connection: that is no fault of the way. */
export function slowLink(facts: Facts, seconds: number): Finding | undefined {
  return courierLink(facts)?.state === 'connected' ? { ...warn('doctor.link.slow', { seconds }), blocks: true } : undefined;
}
