// What the courier's own connection shows, and a connection of doctor does not.

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Probes } from '../../agent/cli/doctor/probes.ts';
import { type DoctorBench, type Planted, type Row, routed, store, systemctl } from './doctor.ts';
import { openScriptedBroker } from './faults.ts';

const never = () => new Promise<never>(() => undefined);
/** Ends when it is cut off. */
const unanswered: Probes['reach'] = (_host, _port, stop) => new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)));

export function courierFaults({ undo }: DoctorBench): Row[] {
  /** What systemd tells of the courier comes later than the broker's answer. */
  const courierSays = (words: string, connected: number | 'no answer' = 0): Planted => {
    const { command = () => Promise.reject(), ...others } = systemctl({}, { StatusText: words });
    const said = (times: number) => ({ code: 0, stdout: '{"msg":"connected"}\n{"msg":"not connected; events are kept"}\n'.repeat(times) });
    const journal = async (stop: AbortSignal) => (connected === 'no answer' ? once(stop, 'abort').then(() => said(0)) : said(connected));
    const isItsHour = (args: readonly string[]) => ['_SYSTEMD_UNIT=tocsin-courier.service', '--since=-1h'].every((arg) => args.includes(arg));
    return { probes: { ...others, command: async (name, args, stop) => (isItsHour(args) ? journal(stop) : delay(300).then(() => command(name, args, stop))) } };
  };
  /** Over a link with round trips of a second and more, of which each check needs several. */
  const slowly = (probes: Planted['probes'], words = 'broker: connected'): Planted => ({
    url: 'mqtts://broker.example.org',
    probes: { ...routed, ...courierSays(words).probes, ...probes },
  });
  const answered = { resolve: async () => '192.0.2.1', reach: async () => undefined };
  async function scripted(answer: Parameters<typeof openScriptedBroker>[0]): Promise<Planted> {
    const broker = await openScriptedBroker(answer);
    undo.push(() => broker.close());
    return { ...courierSays('broker: connected'), url: broker.url };
  }
  return [
    ['a courier with a certificate of before', () => courierSays('broker: certificate_refused'), 'broker', 'warn', 'broker.courier'],
    ['a second sensor of the same name', () => courierSays('broker: session_taken'), 'broker', 'warn', 'broker.taken'],
    ['a courier whose connection breaks again and again', () => courierSays('broker: connected', 10), 'broker', 'warn', 'broker.lost'],
    ['a courier whose connection broke a few times', () => courierSays('broker: connecting', 9), 'broker', 'pass', 'broker.ok'],
    ['a courier whose journal does not answer', () => courierSays('broker: connected', 'no answer'), 'broker', 'pass', 'broker.ok'],
    ['a courier that connects just now', () => courierSays('broker: connecting'), 'broker', 'pass', 'broker.ok'],
    [
      'a courier at another broker of the same address, where nobody subscribes',
      () => ({ ...courierSays('broker: connected, nobody subscribes to events'), plant: (path) => store(path, false, Date.now()) }),
      'acl',
      'warn',
      'acl.courier',
    ],
    ['a courier whose events are refused', () => courierSays('broker: connected, events refused'), 'acl', 'warn', 'acl.courier'],
    ['a courier that holds events back', () => courierSays('broker: connected, more events than may be'), 'acl', 'warn', 'acl.rate'],
    ['a slow name server', () => slowly({ resolve: never }), 'name', 'warn', 'link.slow'],
    ['a slow name server and no connection', () => slowly({ resolve: never }, 'broker: unreachable'), 'name', 'fail', 'timeout'],
    ['a link too slow for a connection', () => slowly({ ...answered, reach: unanswered }), 'port', 'warn', 'link.slow'],
    ['a link too slow for TLS', () => slowly({ ...answered, handshake: never }), 'tls', 'warn', 'link.slow'],
    ['a link that loses large packets', () => slowly({ ...answered, handshake: never }, 'broker: unreachable'), 'tls', 'fail', 'tls.late'],
    ['a link too slow for MQTT', () => scripted({ connack: () => Buffer.alloc(0), puback: () => 0 }), 'broker', 'warn', 'link.slow'],
    ['a link too slow for a message', () => scripted({ puback: () => undefined }), 'acl', 'warn', 'link.slow'],
  ];
}
