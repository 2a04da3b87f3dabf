import { LinkError, messageOf } from '../lib/errors.ts';
import type { LinkFault } from '../lib/faults.ts';

const patterns: readonly [RegExp, LinkFault][] = [
  [/CERT_HAS_EXPIRED/, 'broker_expired'],
  [/CERT_NOT_YET_VALID/, 'broker_not_yet_valid'],
  [/ERR_TLS_CERT_ALTNAME_INVALID/, 'broker_name'],
  [/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/, 'broker_untrusted'],
  // for clients only, from one that may sign none, or too weak (for this, OpenSSL has words and Node has no code)
  [/INVALID_(PURPOSE|CA)|PATH_LENGTH_EXCEEDED|UNSPECIFIED/, 'broker_unsuitable'],
  // unsupported: one for servers only; decrypt error: signed by another authority of the same name
  [/alert ((bad |unsupported )?certificate|unknown ca|decrypt error|access denied|handshake failure)|certificate required/i, 'certificate_refused'],
  [/unsupported protocol(?! version)|alert protocol version|no protocols available/i, 'tls_version'], // with `version`: CONNACK 132, of MQTT
  [/wrong version number|packet length too long|http request/i, 'no_tls'],
  [/^(134|135|138|140|4|5)( |$)/, 'login_refused'], // CONNACK of MQTT 5; of 3.1.1
  // before TLS: a broker without TLS hangs up so, but also a load balancer whose broker is down, which passes
  [/Connection closed|ECONNRESET|EPIPE|before secure TLS/, 'connection_lost'],
  [/ECONNREFUSED|ENOTFOUND|EAI_(AGAIN|FAIL|NODATA)|E(NET|HOST)(UNREACH|DOWN)|EADDRNOTAVAIL|ETIMEDOUT|connack timeout/i, 'unreachable'],
];

/** The error of our own that says how the connection ended, if that is among the causes. */
export function linkErrorOf(error: unknown): LinkError | undefined {
  return causesOf(error).find((cause) => cause instanceof LinkError);
}

/** Why a connection was not made, or was lost. */
export function linkFaultOf(error: unknown): LinkFault {
  const own = linkErrorOf(error);
  if (own) return own.fault;
  for (const cause of causesOf(error)) {
    const fault = faultIn(`${(cause as { code?: unknown }).code ?? ''} ${messageOf(cause)}`);
    if (fault !== 'other') return fault;
  }
  return 'other';
}

/** The fault in a code with or without a message, as Node, OpenSSL and the MQTT client say it. */
export function faultIn(said: string): LinkFault {
  return patterns.find(([pattern]) => pattern.test(said))?.[1] ?? 'other';
}

function causesOf(error: unknown): unknown[] {
  return error === undefined ? [] : [error, ...causesOf(error instanceof Error ? error.cause : undefined)];
}
