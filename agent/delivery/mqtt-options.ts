// What every connection to a broker has in common, the courier's and a person's.
import { type LookupAddress, lookup } from 'node:dns';
import { type LookupFunction, setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import { mostChunkBytes, mostPacketBytes } from './answers-only.ts';

/** For `wss` the options stand in `wsOptions`. Set explicitly, they override NODE_TLS_REJECT_UNAUTHORIZED. */
const tls = {
  minVersion: 'TLSv1.2',
  rejectUnauthorized: true,
  lookup: ((host, options, done) =>
    lookup(host, options, (error, found, family) => done(error, Array.isArray(found) ? turned(found, Math.random) : found, family))) as LookupFunction,
} as const;

const inTime = 3; // addresses, by `takeTimeForEachAddress`

/**
 * The addresses of a name in the order in which they are tried. Of more than there is time for, each attempt begins
 * with another: else one that comes behind three that swallow packets would never be tried. Without TLS mqtt.js passes
 * no look-up on.
 */
export function turned(addresses: readonly LookupAddress[], random: () => number): LookupAddress[] {
  const first = addresses.length > inTime ? Math.floor(random() * addresses.length) : 0;
  return [...addresses.slice(first), ...addresses.slice(0, first)];
}

export const commonOptions = { ...tls, wsOptions: { ...tls, maxPayload: mostChunkBytes }, properties: { maximumPacketSize: mostPacketBytes } };

/**
 * Raises the time for each address of a name that has several. Node's default of 250 ms is shorter than a handshake
 * over a weak link, so the address that answers would never be reached. It becomes a third of the connection time-out,
 * for the whole process, since mqtt.js does not pass the option on.
 */
export function takeTimeForEachAddress(connectMs: number): void {
  setDefaultAutoSelectFamilyAttemptTimeout(Math.round(connectMs / inTime));
}
