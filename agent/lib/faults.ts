/**
 * What can be wrong with the microphone. Published by these names and stored as the index in this list plus one: append
 * only. `failed` is a capture that ends for a reason its program does not tell; `clipped` is heard, but badly.
 */
export const microphoneFaults = ['absent', 'busy', 'unplugged', 'stuck', 'zeros', 'flat', 'clipped', 'slow', 'fast', 'wrong_device', 'failed'] as const;
export type MicrophoneFault = (typeof microphoneFaults)[number];

/** What is wrong with the keeping of events now; a damaged file counts for a week of the courier's running, or until its quarantined copy is deleted. */
export const outboxFaults = ['disk_full', 'outbox_unwritable', 'outbox_damaged'] as const;
export type OutboxFault = (typeof outboxFaults)[number];

/**
 * Why there is no connection to the broker, as a name that stays the same: it cannot be reached, is not the one it should be, does not
 * take this sensor, gave its session to another of the same name, or the connection broke, or stands and nothing comes over it any more.
 */
export const linkFaults = [
  'unreachable',
  'no_tls',
  'tls_version',
  'broker_untrusted',
  'broker_name',
  'broker_expired',
  'broker_not_yet_valid',
  'certificate_refused',
  'login_refused',
  'session_taken',
  'connection_lost',
  'no_answer',
  'other',
] as const;
export type LinkFault = (typeof linkFaults)[number];

/** Why a connected broker does not get this sensor's events: it refuses them, or takes them for nobody, for no one subscribes. */
export const eventRefusals = ['refused', 'no_subscriber'] as const;
export type EventRefusal = (typeof eventRefusals)[number];
