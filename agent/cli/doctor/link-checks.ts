// From the network interface to the certificates.
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { brokerAddress } from '../../config/broker-url.ts';
import { certificatesIn, chainIn, lasting } from '../../config/certificates.ts';
import { secretPath } from '../../config/secret-path.ts';
import type { Credentials } from '../../config/secrets.ts';
import { faultIn } from '../../delivery/link-fault.ts';
import { hasCode, isDenied, messageOf } from '../../lib/errors.ts';
import type { LinkFault } from '../../lib/faults.ts';
import { shellWord } from '../../lib/shell-word.ts';
import { hasDates, isInForce } from '../provision/certificate-checks.ts';
import { text } from '../translate.ts';
import { type Check, type Facts, type Finding, fail, pass, required, skip, warn } from './check.ts';
import { slowLink } from './courier.ts';
import { nameOfStranger, unusableFile } from './credential-checks.ts';
import type { Handshake } from './probes.ts';

function brokerOf(facts: Facts) {
  return brokerAddress(required(facts).mqtt.url);
}

/** RTF_UP and RTF_REJECT (`unreachable`, with the interface *): a route that leads somewhere has the first alone. */
const routeFlags = 0x201;

const network: Check = {
  id: 'network',
  timeoutMs: 1000,
  needs: ['config'],
  // `model`: its runtime is loaded in one go, for seconds from a slow card: connections would meanwhile run out of time
  after: ['model', 'services'],
  run(probes, facts) {
    if (brokerOf(facts).loopback) return pass('doctor.network.local');
    const rows = (path: string) => (probes.read(path) ?? '').split('\n').map((line) => line.trim().split(/\s+/));
    const four = rows('/proc/net/route')
      .slice(1)
      .filter(([name, , , flags]) => name && name !== 'lo' && (Number.parseInt(flags ?? '0', 16) & routeFlags) === 1);
    const six = rows('/proc/net/ipv6_route').filter(([to, , , , , , , , , name]) => name && name !== 'lo' && /^[23]|^f[cd]|^0{32}$/.test(to ?? ''));
    const way = four.find(([, destination]) => destination === '00000000')?.[0] ?? four[0]?.[0] ?? six[0]?.[9];
    if (way === undefined) return fail('doctor.network.none');
    facts.way = way;
    return pass('doctor.network.ok', { interface: way });
  },
};

const name: Check = {
  id: 'name',
  timeoutMs: 3000,
  lateHint: 'doctor.host.server.try',
  late: slowLink,
  needs: ['network'],
  async run(probes, facts) {
    const { host } = brokerOf(facts);
    if (isIP(host)) return pass('doctor.host.number', { host });
    try {
      return pass('doctor.host.ok', { host, address: await probes.resolve(host) });
    } catch (error) {
      const { code = messageOf(error) } = error as NodeJS.ErrnoException;
      return code === 'ENOTFOUND' || code === 'ENODATA' ? fail('doctor.host.unknown', { host }) : fail('doctor.host.server', { code });
    }
  },
};

const port: Check = {
  id: 'port',
  timeoutMs: 3500,
  lateHint: 'doctor.timeout.link',
  needs: ['name'],
  async run(probes, facts, signal) {
    const { host, port: number } = brokerOf(facts);
    const began = performance.now();
    try {
      await probes.reach(host, number, AbortSignal.any([signal, AbortSignal.timeout(3000)]));
      return pass('doctor.port.ok', { host, port: number, ms: Math.round(performance.now() - began) });
    } catch (error) {
      const { code = messageOf(error), name: kind } = error as NodeJS.ErrnoException;
      const isLate = kind === 'AbortError' || kind === 'TimeoutError';
      const slow = isLate ? slowLink(facts, 3) : undefined;
      if (slow) return slow;
      const reason = isLate ? '3 s' : code;
      return code === 'ECONNREFUSED' ? fail('doctor.port.refused', { host, port: number }) : fail('doctor.port.silent', { host, port: number, reason });
    }
  },
};

const tls: Check = {
  id: 'tls',
  timeoutMs: 3500,
  lateHint: 'doctor.timeout.link',
  late: (facts, seconds) => slowLink(facts, seconds) ?? swallowed(facts, seconds),
  needs: ['port'],
  async run(probes, facts, signal) {
    const config = required(facts);
    const { host, port: number, encrypted, loopback } = brokerOf(facts);
    if (!encrypted) return loopback ? skip('doctor.tls.local') : warn('doctor.tls.open');
    let credentials: Credentials;
    try {
      credentials = probes.credentials(config.mqtt);
    } catch (error) {
      if (isDenied(error)) return fail('doctor.forbidden', { path: causeOf(error).path ?? '' });
      return fail('doctor.tls.files', { reason: messageOf(error) });
    }
    const unusable = unusableFile(credentials);
    if (unusable) return unusable;
    try {
      const handshake = await probes.handshake(host, number, credentials, signal);
      facts.handshake = handshake;
      if (handshake.refusal !== undefined) return untrusted(handshake, host, number, probes.clock.wallMs());
      const stranger = nameOfStranger(credentials, config.sensor);
      return stranger === undefined
        ? pass('doctor.tls.ok', { protocol: handshake.protocol })
        : warn('doctor.tls.stranger', { name: stranger, sensor: config.sensor });
    } catch (error) {
      return broken(error, host, number);
    }
  },
};

/** The port takes connections, whose packets are small. A handshake has some as large as the link claims to take. */
function swallowed({ way }: Facts, seconds: number): Finding | undefined {
  return way === undefined ? undefined : fail('doctor.tls.late', { seconds, interface: shellWord(way) });
}

function untrusted({ refusal = '', names, validFrom, validTo }: Handshake, host: string, number: number, nowMs: number): Finding {
  const isOwn = validTo.getTime() < nowMs; // else one above it has expired, of which OpenSSL says the same
  const found: Partial<Record<LinkFault, () => Finding>> = {
    broker_expired: () => (isOwn ? fail('doctor.tls.expired', { date: day(validTo) }) : fail('doctor.tls.authority')),
    broker_not_yet_valid: () => fail('doctor.tls.early', { date: day(validFrom) }),
    broker_name: () => fail('doctor.tls.name', { names, host }),
    broker_untrusted: () => fail('doctor.tls.ca'),
    broker_unsuitable: () => fail('doctor.tls.unsuitable', { reason: refusal }),
  };
  return found[faultIn(refusal)]?.() ?? fail('doctor.tls.other', { host, port: number, reason: refusal });
}

export function broken(error: unknown, host: string, number: number): Finding {
  const said = messageOf(error);
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const reason = (/alert ([a-z ]+)/.exec(said)?.[1] ?? (code || said)).trim().slice(0, 80);
  const fault = faultIn(`${code} ${said}`);
  if (fault === 'no_tls' || /unexpected message/i.test(said)) return fail('doctor.tls.plain', { host, port: number });
  if (fault === 'connection_lost') return fail('doctor.tls.ended', { host, port: number });
  if (fault === 'certificate_refused') return fail('doctor.tls.client', { reason });
  return fail('doctor.tls.other', { host, port: number, reason });
}

const warnDays = 30;

const dates: Check = {
  id: 'dates',
  timeoutMs: 1000,
  needs: ['config'],
  after: ['tls'],
  run(probes, facts) {
    const { mqtt } = required(facts);
    const spans: { whose: 'sensor' | 'between' | 'broker' | 'authority'; from: Date; to: Date }[] = [];
    for (const [whose, name] of [
      ['sensor', mqtt.certFile],
      ['authority', mqtt.caFile],
    ] as const) {
      if (name === undefined) continue;
      const path = secretPath(name);
      try {
        const bytes = probes.readBytes(path);
        const found = whose === 'sensor' ? chainIn(bytes) : [lastingAuthority(bytes, probes.clock.wallMs())];
        if (!found.every(hasDates)) throw new Error('dates that are none');
        for (const [i, { validFrom, validTo }] of found.entries())
          spans.push({ whose: i === 0 ? whose : 'between', from: new Date(validFrom), to: new Date(validTo) });
      } catch (error) {
        if (isDenied(error)) return fail('doctor.forbidden', { path });
        if (hasCode(error, /^ENOENT$/)) return fail('doctor.dates.absent', { whose: text(`doctor.dates.${whose}`), path });
        return fail('doctor.dates.unreadable', { whose: text(`doctor.dates.${whose}`), reason: messageOf(error) });
      }
    }
    const { handshake } = facts;
    if (handshake && handshake.refusal === undefined) spans.push({ whose: 'broker', from: handshake.validFrom, to: handshake.validTo }); // else tls has said why
    const now = probes.clock.wallMs();
    for (const { whose, from, to } of spans) {
      if (to.getTime() < now) return fail('doctor.dates.expired', { whose: text(`doctor.dates.${whose}`), date: day(to) });
      if (from.getTime() > now) return fail('doctor.dates.early', { whose: text(`doctor.dates.${whose}`), date: day(from) });
    }
    const days = (to: Date) => Math.floor((to.getTime() - now) / 86_400_000);
    const [soon] = spans.toSorted((a, b) => a.to.getTime() - b.to.getTime());
    if (soon && days(soon.to) < warnDays)
      return warn('doctor.dates.soon', { whose: text(`doctor.dates.${soon.whose}`), date: day(soon.to), days: days(soon.to) });
    const own = spans.find(({ whose }) => whose === 'sensor');
    return own ? pass('doctor.dates.ok', { date: day(own.to), days: days(own.to) }) : skip('doctor.dates.none');
  },
};

/**
 * Of several certificates in one file, as while one replaces another: the valid one that ends last. The others may have
 * ended.
 */
function lastingAuthority(bytes: Buffer, nowMs: number): X509Certificate {
  const all = certificatesIn(bytes.toString('latin1'));
  return lasting(all.filter((one) => isInForce(one, nowMs))) ?? lasting(all) ?? new X509Certificate(bytes);
}

/** What the system or the broker said, behind an error of ours. */
export const causeOf = (error: unknown) => ((error as Error).cause ?? error) as NodeJS.ErrnoException;

export const linkChecks = [network, name, port, tls, dates] as const;

function day(date: Date): string {
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString().slice(0, 10);
}
