import type { Allowance } from './allowance.ts';
import type { OpenPublisher } from './publisher.ts';

/**
 * A publisher that takes each message of these topics out of the allowance first. Where none is left, it counts as
 * refused, and nothing is sent: what is to be sent later must look at the allowance before.
 */
export function limitedPublisher(open: OpenPublisher, allowance: Pick<Allowance, 'take'>, topics: ReadonlySet<string>): OpenPublisher {
  return async (will, signal) => {
    const publisher = await open(will, signal);
    return {
      lost: publisher.lost,
      publish: async (topic, payload, options) => {
        if (topics.has(topic)) allowance.take();
        await publisher.publish(topic, payload, options);
      },
      close: (farewell) => publisher.close(farewell),
    };
  };
}
