// From the broker's answer to its access control.
import type { Config } from '../../config/schema.ts';
import type { Credentials } from '../../config/secrets.ts';
import { closedMessage, closedProbe } from '../../delivery/closed-publisher.ts';
import { connectedLine } from '../../delivery/link.ts';
import { faultIn, linkFaultOf } from '../../delivery/link-fault.ts';
import { noSubscriber } from '../../delivery/mqtt-answers.ts';
import { toCloudEvent } from '../../delivery/to-cloud-event.ts';
import { clientIdOf, topicsOf } from '../../delivery/topics.ts';
import { linkTest, type Status } from '../../events/event.ts';
import { closedForm } from '../../events/published.ts';
import { BrokerError, isDenied, messageOf, UnsentError } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { version } from '../command.ts';
import { type Check, type Facts, type Finding, fail, pass, required, warn } from './check.ts';
import { courierKeptOut, courierLink, courierRefused, slowLink } from './courier.ts';
import { journalOf } from './journal.ts';
import { broken, causeOf } from './link-checks.ts';
import type { Probes } from './probes.ts';

const answerMs = 3500;
const often = 10; // connections in an hour
/** CONNACK of a broker that is busy, closing or over a limit of its own. */
const isBusy = (code: unknown) => [136, 137, 139, 151, 159, 3].includes(code as number);

const broker: Check = {
  id: 'broker',
  timeoutMs: 4000,
  lateHint: 'doctor.timeout.link',
  late: slowLink,
  needs: ['tls', 'port'],
  async run(probes, facts, signal) {
    const { mqtt, site, sensor } = required(facts);
    let credentials: Credentials;
    try {
      credentials = probes.credentials(mqtt);
    } catch (error) {
      if (isDenied(error)) return fail('doctor.forbidden', { path: causeOf(error).path ?? '' });
      return fail('doctor.broker.files', { reason: messageOf(error) });
    }
    const lost = oftenLost(probes, facts, signal); // meanwhile: one after the other could take longer than this check may
    const began = performance.now();
    try {
      const link = closedProbe(await probes.openLink(mqtt, credentials, clientIdOf({ site, sensor }, 'doctor'), answerMs), closedForm(topicsOf(site, sensor)));
      // cut off meanwhile, nobody else would close it, and an open link keeps the process
      if (signal.aborted) await link.close();
      else facts.link = link;
      if (link.lacks) return fail(`doctor.broker.${link.lacks}`);
      const ms = Math.round(performance.now() - began);
      return courierKeptOut(facts) ?? (await lost) ?? pass('doctor.broker.ok', { ms, protocol: mqtt.protocol });
    } catch (error) {
      const cause = causeOf(error);
      const code: unknown = cause.code;
      // CONNACK reason codes of MQTT 5 from 128 on; return codes 1 to 5 of MQTT 3.1.1
      if (typeof code === 'number' && faultIn(String(code)) === 'login_refused') return fail('doctor.broker.login', { code });
      if (code === 132 || code === 1) return fail('doctor.broker.version', { protocol: mqtt.protocol });
      if (isBusy(code)) return fail('doctor.broker.busy', { code: Number(code) });
      if (typeof code === 'number' && cause.message.startsWith('Connection refused: ')) return fail('doctor.broker.code', { code }); // a CONNACK
      const refused = broken(cause, '', 0);
      if (refused.found.key === 'doctor.tls.client') return refused;
      if (/^connack timeout$/i.test(cause.message)) return slowLink(facts, answerMs / 1000) ?? fail('doctor.broker.silent');
      if (linkFaultOf(cause) === 'connection_lost') {
        const isOld = mqtt.protocol === '5' && (await speaksOldMqtt(probes, required(facts), credentials, answerMs - (performance.now() - began)));
        return isOld ? fail('doctor.broker.version', { protocol: mqtt.protocol }) : fail('doctor.broker.ended');
      }
      return fail('doctor.broker.other', { reason: messageOf(cause).slice(0, 100) });
    }
  },
};

/** Whether a broker that hangs up on MQTT 5, as some do that have MQTT 3.1.1 alone, answers that, if with a refusal. */
async function speaksOldMqtt(probes: Probes, { mqtt, site, sensor }: Config, credentials: Credentials, timeoutMs: number): Promise<boolean> {
  try {
    const link = await probes.openLink({ ...mqtt, protocol: '3.1.1' }, credentials, clientIdOf({ site, sensor }, 'doctor'), timeoutMs);
    await link.close();
    return true;
  } catch (error) {
    return typeof (causeOf(error).code as unknown) === 'number'; // a CONNACK
  }
}

/** The broker answers, but the courier's connection never stands for long. */
async function oftenLost(probes: Probes, facts: Facts, signal: AbortSignal): Promise<Finding | undefined> {
  if (courierLink(facts) === undefined) return undefined;
  const said = await journalOf(probes, 'tocsin-courier.service', ['--since=-1h'], signal);
  const count = said.split(`"msg":"${connectedLine}"`).length - 1;
  return count >= often ? warn('doctor.broker.lost', { count }) : undefined;
}

/**
 * An event that waits is sent under its own id, which a platform knows to count once; where none waits, a marked
 * message goes to the sensor's selftest topic. Nothing is taken from the outbox.
 */
const acl: Check = {
  id: 'acl',
  timeoutMs: 4000,
  lateHint: 'doctor.timeout.link',
  late: slowLink,
  needs: ['broker'],
  async run(probes, facts) {
    const began = performance.now();
    const found = await published(probes, facts);
    if (found.state === 'fail') return found;
    if (courierLink(facts)?.state === 'connected') return courierRefused(facts) ?? found;
    await facts.link?.close();
    delete facts.link; // the next connection has the same client id
    return (await willRefused(probes, required(facts), answerMs - (performance.now() - began))) ?? found;
  },
};

async function published(probes: Probes, facts: Facts): Promise<Finding> {
  const { mqtt, site, sensor, outbox } = required(facts);
  const topics = topicsOf(site, sensor);
  const { id, oldest } = ifPossible(() => probes.inspectOutbox(outbox.path)) ?? {}; // one that cannot be read is another check's
  const [topic, message] =
    id !== undefined && oldest !== undefined
      ? [topics.event, toCloudEvent(oldest, { outboxId: id, site, sensor, historicalAfterSeconds: mqtt.historicalAfterSeconds }, probes.clock)]
      : [topics.selftest, linkTest(probes.clock.bootId)];
  try {
    const code = (await facts.link?.publish(topic, JSON.stringify(message))) ?? 0;
    if (mqtt.protocol !== '5') return warn('doctor.acl.hidden');
    if (code >= 128) return fail('doctor.acl.refused', { topic, code });
    if (code !== noSubscriber || !mqtt.requireSubscriber) return pass('doctor.acl.ok', { topic });
    return topic === topics.event ? fail('doctor.acl.unheard', { topic }) : warn('doctor.acl.alone', { topic }); // of tests it says little of events
  } catch (error) {
    if (error instanceof BrokerError && error.refused && !(error instanceof UnsentError)) return fail('doctor.acl.ended', { topic });
    const slow = linkFaultOf(error) === 'no_answer' ? slowLink(facts, answerMs / 1000) : undefined;
    return slow ?? fail('doctor.acl.silent', { reason: messageOf(error) });
  }
}

/**
 * Some brokers refuse a client whose will it may not publish, so that the courier never connects, though all else is
 * allowed. Only a refusal counts: what is slow or broken is not known.
 */
async function willRefused(probes: Probes, { mqtt, site, sensor }: Config, timeoutMs: number): Promise<Finding | undefined> {
  const topics = topicsOf(site, sensor);
  const status = { state: 'offline', bootId: probes.clock.bootId, version } satisfies Status;
  try {
    const will = closedMessage({ topic: topics.status, payload: JSON.stringify(status) }, closedForm(topics));
    await probes.tryWill(mqtt, probes.credentials(mqtt), clientIdOf({ site, sensor }, 'doctor'), timeoutMs, will);
    return undefined;
  } catch (error) {
    const code: unknown = causeOf(error).code;
    return typeof code === 'number' && !isBusy(code) ? fail('doctor.acl.will', { topic: topics.status, code }) : undefined;
  }
}

export const brokerChecks = [broker, acl] as const;
