// The link is a fake. That a real broker gives the event back is shown in test/e2e/selftest.test.ts.
import { expect, test } from 'vitest';
import { send } from '../../agent/cli/selftest/chain.ts';
import type { Config } from '../../agent/config/schema.ts';
import type { ClosedProbe } from '../../agent/delivery/closed-publisher.ts';
import type { SoundEvent } from '../../agent/events/event.ts';
import { fixedClock } from '../support/samples.ts';

const config = { site: 'a', sensor: 'b', mqtt: { ackTimeoutSeconds: 0.2 } } as Config;
const event = { id: 'own' } as SoundEvent;

/** Sends over a broker that answers a publication with this code, and gives back an event of this id. */
function sent(code: number, id: string) {
  let give = (_: string) => {};
  const link = {
    subscribe: async (_: string, received: (payload: string) => void) => {
      give = received;
      return 1;
    },
    publish: async () => {
      for (const payload of ['no JSON', '{}', JSON.stringify({ event: { id } })]) give(payload);
      return code;
    },
  } as unknown as ClosedProbe;
  return send(link, event, config, fixedClock(), false);
}

test('the selftest ends well only if its own event comes back', async () => {
  expect(await sent(0, 'own')).toMatchObject({ topic: 'tocsin/v1/a/b/selftest', returnedMs: expect.any(Number) });
  await expect(sent(0, 'of another test')).rejects.toMatchObject({ link: 'acl', reason: { key: 'selftest.notReturned' } });
});

test.each([128, 135, 151])('a broker that refuses the event with reason code %i breaks the chain, whatever comes back', async (code) => {
  await expect(sent(code, 'own')).rejects.toMatchObject({ link: 'acl', reason: { key: 'selftest.refused', values: { code } } });
});
