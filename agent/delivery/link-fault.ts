import { messageOf } from '../lib/errors.ts';
import type { LinkFault } from '../lib/faults.ts';

const patterns: readonly [RegExp, LinkFault][] = [
  [/CERT_HAS_EXPIRED/, 'broker_expired'],
  [/CERT_NOT_YET_VALID/, 'broker_not_yet_valid'],
  [/ERR_TLS_CERT_ALTNAME_INVALID/, 'broker_name'],
  [/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/, 'broker_untrusted'],
  [/alert (bad certificate|unknown ca|certificate|access denied|handshake failure)|certificate required/i, 'certificate_refused'],
  [/unsupported protocol|alert protocol version|no protocols available/i, 'tls_version'],
  [/wrong version number|packet length too long|before secure TLS|http request/i, 'no_tls'],
  [/^(134|135|138|140|4|5)( |$)/, 'login_refused'], // CONNACK of MQTT 5; of 3.1.1
  [/DISCONNECT with reason code 142$/, 'session_taken'], // MQTT 5, 4.13.1: another client has this one's identifier
  [/got:? (none in [\d.]+ s|no PUBACK in [\d.]+ s|no PINGRESP in time)$/, 'no_answer'],
  [/DISCONNECT with reason code|connection broke|broken connection|Connection closed|ECONNRESET|EPIPE/, 'connection_lost'],
  [/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|connack timeout|no answer in [\d.]+ s$/i, 'unreachable'],
];

/** Why a connection was not made, or was lost. */
export function linkFaultOf(error: unknown): LinkFault {
  for (let cause: unknown = error; cause !== undefined; cause = cause instanceof Error ? cause.cause : undefined) {
    const said = `${(cause as { code?: unknown }).code ?? ''} ${messageOf(cause)}`;
    const found = patterns.find(([pattern]) => pattern.test(said));
    if (found) return found[1];
  }
  return 'other';
}
