import { messageOf } from '../lib/errors.ts';

/**
 * Why there is no connection, as a name that stays the same: whether the broker cannot be reached, is not the one it should be, or does
 * not take this sensor.
 */
export type Refusal =
  | 'unreachable'
  | 'no_tls'
  | 'tls_version'
  | 'broker_untrusted'
  | 'broker_name'
  | 'broker_expired'
  | 'broker_not_yet_valid'
  | 'certificate_refused'
  | 'login_refused'
  | 'other';

const patterns: readonly [RegExp, Refusal][] = [
  [/CERT_HAS_EXPIRED/, 'broker_expired'],
  [/CERT_NOT_YET_VALID/, 'broker_not_yet_valid'],
  [/ERR_TLS_CERT_ALTNAME_INVALID/, 'broker_name'],
  [/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/, 'broker_untrusted'],
  [/alert (bad certificate|unknown ca|certificate|access denied|handshake failure)|certificate required/i, 'certificate_refused'],
  [/unsupported protocol|alert protocol version|no protocols available/i, 'tls_version'],
  [/wrong version number|packet length too long|before secure TLS|http request/i, 'no_tls'],
  [/^(134|135|138|140|4|5)( |$)/, 'login_refused'], // CONNACK of MQTT 5; of 3.1.1
  [/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|connack timeout/i, 'unreachable'],
];

export function refusalOf(error: unknown): Refusal {
  for (let cause: unknown = error; cause !== undefined; cause = cause instanceof Error ? cause.cause : undefined) {
    const said = `${(cause as { code?: unknown }).code ?? ''} ${messageOf(cause)}`;
    const found = patterns.find(([pattern]) => pattern.test(said));
    if (found) return found[1];
  }
  return 'other';
}
