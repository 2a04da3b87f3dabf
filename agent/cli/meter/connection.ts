import { connect } from 'node:net';
import { isDenied } from '../../lib/errors.ts';
import { decodeReading, type MeterReading, readingBytes } from '../../meter/reading.ts';

/** Why there is nothing to show; the rest of `meter.` in the messages. */
export type MeterTrouble = 'absent' | 'denied' | 'full' | 'silent' | 'gone' | 'unknown';

const longestMs = 10_000; // between two readings: twice as long as the outbox may make the listener wait

/**
 * What the listener writes on its socket, until the signal aborts or `trouble` is returned. Nothing is sent, for a
 * client that sends is dropped. Readings that came while the receiver was busy are left out: only the newest matters.
 */
export async function* readings(path: string, signal: AbortSignal): AsyncGenerator<MeterReading, MeterTrouble | undefined> {
  let latest: MeterReading | undefined;
  let trouble: MeterTrouble | undefined;
  let received = 0;
  let rest = Buffer.alloc(0);
  let wake = () => {};
  const socket = connect({ path });
  socket.on('error', (error) => {
    trouble = isDenied(error) ? 'denied' : 'absent';
    wake();
  });
  socket.on('close', () => {
    trouble ??= received > 0 ? 'gone' : 'full';
    wake();
  });
  socket.on('data', (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (; rest.length >= readingBytes; rest = rest.subarray(readingBytes)) {
      received++;
      latest = decodeReading(rest.subarray(0, readingBytes));
      if (!latest) trouble = 'unknown';
    }
    wake();
  });
  const stop = () => wake();
  signal.addEventListener('abort', stop, { once: true });
  try {
    while (!signal.aborted && !trouble) {
      if (!latest) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(() => {
            trouble ??= 'silent';
            resolve();
          }, longestMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        continue;
      }
      const reading = latest;
      latest = undefined;
      yield reading;
    }
    return signal.aborted ? undefined : trouble;
  } finally {
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}
