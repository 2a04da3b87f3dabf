import type { Clock } from '../lib/clock.ts';
import { BrokerError, UnsentError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { linkErrorOf, linkFaultOf } from './link-fault.ts';
import type { OpenPublisher, Publisher } from './publisher.ts';

const enough = 4; // connections in a row that end over a topic before it is taken for the reason
const retryMs = 60_000;
const longestRetryMs = 600_000; // who sends there may wait as long again: an access control that was mended is noticed within twice that
/**
 * Reason codes of a DISCONNECT that do not concern a message (MQTT 5, 3.14.2.1): busy, shutting down, keep alive,
 * administrative action, another server, longest time.
 */
const overNoMessage = [137, 139, 141, 152, 156, 157, 160];

/**
 * Some brokers close the connection over a message that they do not allow, instead of sending a reason code. Sent first
 * over each new connection, one such topic would keep all others from being delivered. This publisher finds the topic:
 *
 *   closed with messages of several topics unanswered ─▶ the next connection sends one topic at a time
 *   closed over the same topic four times in a row ─▶ its messages count as refused and are not sent
 *   after a minute it is tried again ─▶ answered: as before │ closed: twice as long, ten minutes at most
 *
 * One answer resets the count of its topic. No topic is suspected when the courier itself ends the connection, for
 * example because nothing is answered any more, or when the broker gives a reason that concerns no message.
 */
export function waryPublisher(open: OpenPublisher, { clock, logger }: { clock: Clock; logger: Logger }): OpenPublisher {
  const ends = new Map<string, number>(); // by topic: connections in a row
  const refusedMs = new Map<string, number>(); // until when
  let doubtful = new Set<string>(); // one of them may have ended the last connection

  return async (will, signal) => {
    const publisher = await open(will, signal);
    const flying = new Map<string, number>(); // messages that are not answered
    const queue: { readonly topic: string; readonly start: () => void }[] = [];
    let isOurs = false; // the end of the connection

    /**
     * Starts waiting messages, of one topic at a time, in order. Over a lost connection each fails and starts the next.
     */
    const startNext = () => {
      for (let head = queue[0]; head && [...flying.keys()].every((topic) => topic === head?.topic); head = queue[0]) {
        queue.shift();
        head.start();
      }
    };
    publisher.lost.addEventListener('abort', () => {
      const { reason } = publisher.lost;
      const mayBeOverAMessage = !isOurs && linkFaultOf(reason) === 'connection_lost' && !overNoMessage.includes(linkErrorOf(reason)?.reasonCode ?? 0);
      if (mayBeOverAMessage) suspect([...flying.keys()]);
    });

    function suspect(topics: readonly string[]): void {
      doubtful = new Set(topics);
      const [topic, ...others] = topics;
      if (topic === undefined || others.length > 0) return;
      const count = (ends.get(topic) ?? 0) + 1;
      ends.set(topic, count);
      if (count < enough) return;
      doubtful.delete(topic);
      if (!refusedMs.has(topic)) logger.error({ topic }, 'the broker ends the connection over this topic; messages for it are kept and tried again');
      refusedMs.set(topic, clock.monotonicMs() + Math.min(longestRetryMs, retryMs * 2 ** (count - enough)));
    }

    function answers(topic: string): void {
      doubtful.delete(topic);
      ends.delete(topic);
      refusedMs.delete(topic);
    }

    const send: Publisher['publish'] = async (topic, payload, options) => {
      flying.set(topic, (flying.get(topic) ?? 0) + 1);
      try {
        await publisher.publish(topic, payload, options);
        answers(topic);
      } catch (error) {
        if (error instanceof BrokerError && error.refused && !(error instanceof UnsentError)) answers(topic);
        throw error;
      } finally {
        const left = (flying.get(topic) ?? 1) - 1;
        if (left > 0) flying.set(topic, left);
        else flying.delete(topic);
        startNext();
      }
    };

    return {
      lost: publisher.lost,
      publish(topic, payload, options) {
        if (clock.monotonicMs() < (refusedMs.get(topic) ?? 0)) return Promise.reject(refusal(topic));
        if (publisher.lost.aborted || (doubtful.size === 0 && queue.length === 0)) return send(topic, payload, options);
        return new Promise((resolve) => {
          queue.push({ topic, start: () => resolve(send(topic, payload, options)) });
          startNext();
        });
      },
      close(farewell) {
        isOurs = true;
        return publisher.close(farewell);
      },
    };
  };
}

function refusal(topic: string): BrokerError {
  return new BrokerError(
    `Expected a PUBACK for ${topic}, got the end of the connection ${enough} times in a row: nothing is sent there for a while`,
    "check the broker's ACL for this sensor",
    true,
  );
}
