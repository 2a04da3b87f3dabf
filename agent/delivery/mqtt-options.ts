// What every connection to a broker has in common, the courier's and a person's.
import { setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import { mostChunkBytes, mostPacketBytes } from './answers-only.ts';

/** For `wss` the options stand in `wsOptions`. Set explicitly, they override NODE_TLS_REJECT_UNAUTHORIZED. */
const tls = { minVersion: 'TLSv1.2', rejectUnauthorized: true } as const;

export const commonOptions = { ...tls, wsOptions: { ...tls, maxPayload: mostChunkBytes }, properties: { maximumPacketSize: mostPacketBytes } };

/**
 * Raises the time for each address of a name that has several. Node's default of 250 ms is shorter than a handshake
 * over a weak link, so the address that answers would never be reached. It becomes a third of the connection time-out,
 * for the whole process, since mqtt.js does not pass the option on.
 */
export function takeTimeForEachAddress(connectMs: number): void {
  setDefaultAutoSelectFamilyAttemptTimeout(Math.round(connectMs / 3));
}
