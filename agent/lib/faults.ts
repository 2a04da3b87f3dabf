/**
 * What can be wrong with the microphone. Published by these names and stored as the index in this list plus one: append
 * only. `failed`: the capture ended for a reason that its program does not tell. `clipped`: heard, but badly.
 */
export const microphoneFaults = ['absent', 'busy', 'unplugged', 'stuck', 'zeros', 'flat', 'clipped', 'slow', 'fast', 'wrong_device', 'failed'] as const;
export type MicrophoneFault = (typeof microphoneFaults)[number];

/**
 * What is wrong now with the storage of events. A damaged file counts for a week of the courier's running time, or
 * until its quarantined copy is deleted.
 */
export const outboxFaults = ['disk_full', 'outbox_unwritable', 'outbox_damaged'] as const;
export type OutboxFault = (typeof outboxFaults)[number];

/**
 * Why there is no connection to the broker, as a name that stays the same: the broker cannot be reached, is not the
 * expected one, does not accept this sensor, or gave its session to another of the same name; or the connection broke,
 * or is open but nothing comes over it any more.
 */
export const linkFaults = [
  'unreachable',
  'no_tls',
  'tls_version',
  'broker_untrusted',
  'broker_name',
  'broker_expired',
  'broker_not_yet_valid',
  'broker_unsuitable',
  'certificate_refused',
  'login_refused',
  'session_taken',
  'connection_lost',
  'no_answer',
  'other',
] as const;
export type LinkFault = (typeof linkFaults)[number];

/**
 * Why this sensor's events go nowhere at a connected broker: it refuses them, nobody subscribes to them, or the courier
 * itself holds them back, because more wait than an honest listener stores.
 */
export const eventRefusals = ['refused', 'no_subscriber', 'beyond_rate'] as const;
export type EventRefusal = (typeof eventRefusals)[number];
