// From power to outbox and disk, and the services: what can be told without the network.
import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { stampOfEvent } from '../../delivery/stamp.ts';
import { throttledFile } from '../../lib/board.ts';
import { releasedMs } from '../../lib/clock.ts';
import { hasCode, isDenied, messageOf } from '../../lib/errors.ts';
import { shellWord } from '../../lib/shell-word.ts';
import { LaterSchemaError } from '../../outbox/migrate.ts';
import { lateMs, recallBoot } from '../../outbox/view-outbox.ts';
import type { Line as PrivacyLine } from '../privacy/check.ts';
import { ageText, spanText, utcTime } from '../span.ts';
import { type Text, text } from '../translate.ts';
import { fixed } from '../typography.ts';
import { type Check, type Facts, fail, pass, required, skip, warn } from './check.ts';
import { isInMemory } from './in-memory.ts';
import { journalOf } from './journal.ts';
import type { Probes } from './probes.ts';
import { soundChecks } from './sound-checks.ts';

const units = ['tocsin-listener.service', 'tocsin-courier.service'] as const;
const target = 'tocsin.target'; // which starts both with the board

const config: Check = {
  id: 'config',
  timeoutMs: 1000,
  run(probes, facts) {
    try {
      facts.config = probes.loadConfig();
    } catch (error) {
      const [path, word] = [probes.configPath, shellWord(probes.configPath)];
      if (isDenied(error)) return fail('doctor.forbidden', { path });
      if (probes.presence(path) === 'absent') return fail('doctor.config.absent', { path, word });
      return fail('doctor.config.wrong', { reason: messageOf(error), word });
    }
    const { site, sensor } = facts.config;
    return pass('doctor.config.ok', { path: probes.configPath, site, sensor });
  },
};

const board: Check = {
  id: 'board',
  timeoutMs: 1000,
  run(probes) {
    const model = probes.read('/proc/device-tree/model') ?? probes.read('/sys/class/dmi/id/product_name') ?? process.arch;
    const name = model.replaceAll('\0', '').trim() || process.arch;
    const available = /MemAvailable:\s+(\d+) kB/.exec(probes.read('/proc/meminfo') ?? '')?.[1];
    const memory = available === undefined ? undefined : Math.round(Number(available) / 1000);
    const degrees = probes.temperature();
    const celsius = Math.round(degrees ?? 0);
    if (celsius >= 80) return warn('doctor.board.hot', { board: name, celsius });
    if (memory !== undefined && memory < 100) return warn('doctor.board.small', { board: name, memory });
    return pass('doctor.board.ok', {
      board: name, // what the board does not tell is left out
      memory: memory === undefined ? '' : text('doctor.board.memory', { memory }),
      temperature: degrees === undefined ? '' : text('doctor.board.temperature', { celsius }),
    });
  },
};

/**
 * Bits of the Raspberry Pi firmware's get_throttled: 0 under-voltage now, 1 to 3 slowed down now; 16 to 19 the same
 * since boot. A board whose voltage never fell is slowed down by its heat, on some from 60 °C on.
 */
const power: Check = {
  id: 'power',
  timeoutMs: 2000,
  async run(probes, _facts, signal) {
    const told = probes.read(throttledFile()) ?? (await probes.command('vcgencmd', ['get_throttled'], signal)).stdout;
    const hex = /^(?:throttled=0x)?([0-9a-f]+)\s*$/i.exec(told)?.[1];
    if (hex === undefined) return skip('doctor.power.untold');
    const bits = Number.parseInt(hex, 16);
    const code = `0x${bits.toString(16)}`;
    const what = (underVoltage: number) => text(bits & underVoltage ? 'doctor.power.underVoltage' : 'doctor.power.throttled');
    const cooler = bits & 0x10001 ? {} : { hint: text('doctor.board.hot.try') };
    if (bits & 0xf) return { ...fail('doctor.power.now', { what: what(0x1), code }), ...cooler };
    if (bits & 0xf0000) return { ...warn('doctor.power.since', { what: what(0x10000), code }), ...cooler };
    return pass('doctor.power.ok');
  },
};

const clock: Check = {
  id: 'clock',
  timeoutMs: 1000,
  after: ['outbox'], // where the halves note at which time it was right
  run({ clock: { wallMs, monotonicMs, synchronised }, presence, read }) {
    const time = utcTime(wallMs(), 'minute');
    if (wallMs() < releasedMs) return fail('doctor.clock.unset', { time });
    // the uptime counts on while a board sleeps; the monotonic clock, by which events are put in time, does not
    const sleptMs = 1000 * Number(read('/proc/uptime')?.split(' ')[0]) - monotonicMs();
    if (sleptMs > 5000) return warn('doctor.clock.slept', { age: spanText(sleptMs) });
    if (synchronised()) return pass('doctor.clock.ok', { time });
    const unsure = warn('doctor.clock.unsynchronised', { time });
    return presence('/run/systemd/system') === 'there' ? unsure : { ...unsure, hint: text('doctor.clock.noSystemd') };
  },
};

const model: Check = {
  id: 'model',
  timeoutMs: 6000,
  needs: ['config'],
  async run(probes, facts) {
    const folder = required(facts).model.path;
    if (probes.read(`${folder}/manifest.json`) === undefined) return fail('doctor.model.missing', { folder });
    try {
      const { name, version, costMs } = await probes.tryModel(folder);
      const cost = costMs < 10 ? fixed(costMs, 1) : Math.round(costMs);
      return costMs > 500 ? fail('doctor.model.slow', { name, version, cost, folder }) : pass('doctor.model.ok', { name, version, cost });
    } catch (error) {
      return fail('doctor.model.wrong', { reason: messageOf(error), folder });
    }
  },
};

const outbox: Check = {
  id: 'outbox',
  timeoutMs: 3000,
  needs: ['config'],
  run(probes, facts) {
    const { path } = required(facts).outbox;
    try {
      const state = probes.inspectOutbox(path);
      if (isClosed(probes, dirname(path))) return closed(dirname(path));
      // not by a pattern: it takes links that a half has put there, and finds nothing for who may not list the folder
      const among = { folder: shellWord(dirname(path)), names: shellWord(`${basename(path)}*`), each: '{} +' };
      if (!probes.isShared(path)) return fail('doctor.outbox.unshared', { path, ...among });
      recallBoot(state, probes.clock);
      const { pending, oldest, fates } = state;
      const age = oldest && stampOfEvent(oldest, probes.clock);
      if (pending > 0 && age && age.ageMs > lateMs) return warn('doctor.outbox.late', { pending, age: ageText(age) });
      const { expired, refused, dropped, unreadable } = fates;
      if (expired + refused + dropped + unreadable > 0) return warn('doctor.outbox.lost', { expired, refused, dropped, unreadable });
      return pass('doctor.outbox.ok', { pending, sent: fates.sent });
    } catch (error) {
      const reason = messageOf(error);
      if (error instanceof LaterSchemaError) return fail('doctor.outbox.later', { reason });
      if (/does not exist|unable to open/.test(reason)) {
        if (probes.presence(path) !== 'absent') return fail('doctor.outbox.forbidden', { path });
        return isClosed(probes, dirname(path)) ? closed(dirname(path)) : warn('doctor.outbox.none', { path });
      }
      if (hasCode(error, /^SQLITE_BUSY/)) return fail('doctor.outbox.locked', { path, word: shellWord(path) });
      if (hasCode(error, /^EISDIR$/)) return fail('doctor.outbox.folder', { path });
      return fail('doctor.outbox.damaged', { path, reason, word: shellWord(path) });
    }
  },
};

/** A folder of root alone, as that of a new partition: where the package made a group, both halves write by it. */
function isClosed(probes: Probes, folder: string): boolean {
  const [, group] = /^tocsin:[^:]*:(\d+):/m.exec(probes.read('/etc/group') ?? '') ?? [];
  const { uid, gid, mode } = probes.rightsOf(folder) ?? {};
  if (group === undefined || mode === undefined || uid !== 0) return false;
  const ofOthers = gid === Number(group) ? 0o030 : 0o003;
  return (mode & ofOthers) !== ofOthers;
}

const closed = (folder: string) => fail('doctor.outbox.closed', { folder, word: shellWord(folder) });

const disk: Check = {
  id: 'disk',
  timeoutMs: 2000,
  needs: ['config'],
  run(probes, facts) {
    const { path, maxMegabytes } = required(facts).outbox;
    const folder = dirname(path);
    try {
      const free = probes.freeMegabytes(folder);
      probes.writable(folder);
      if (free < 16) return fail('doctor.disk.full', { free, folder });
      if (isInMemory(realpathSync(folder), probes.read('/proc/self/mountinfo') ?? '')) return warn('doctor.disk.memory', { folder });
      return free < 2 * maxMegabytes ? warn('doctor.disk.low', { free, folder, wanted: maxMegabytes }) : pass('doctor.disk.ok', { free, folder });
    } catch (error) {
      if (isDenied(error)) return fail('doctor.forbidden', { path: folder });
      if (hasCode(error, /^ENOENT$/)) return fail('doctor.disk.absent', { folder });
      return fail('doctor.disk.readOnly', { folder, reason: (error as NodeJS.ErrnoException).code ?? messageOf(error) });
    }
  },
};

const services: Check = {
  id: 'services',
  timeoutMs: 3000,
  needs: ['config'],
  async run(probes, facts, signal) {
    const wanted = 'Id,LoadState,ActiveState,SubState,NRestarts,StatusText,UnitFileState';
    const { code, stdout } = await probes.command('systemctl', ['show', ...units, target, '-p', wanted], signal);
    if (code !== 0) return skip('doctor.services.none');
    const shown = stdout.split(/\n\s*\n/).map((block) => Object.fromEntries([...block.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key, value])));
    const found: NonNullable<Facts['units']> = Object.fromEntries(shown.map((unit) => [unit.Id, unit]));
    facts.units = found;
    for (const unit of units) {
      const { LoadState = 'not-found', ActiveState = 'unknown', SubState } = found[unit] ?? {};
      if (LoadState === 'not-found') return fail('doctor.services.missing', { unit });
      if (LoadState === 'masked') return fail('doctor.services.masked', { unit });
      if (LoadState !== 'loaded') return fail('doctor.services.unloadable', { unit, state: LoadState });
      const state = `${ActiveState} (${SubState})`;
      if (ActiveState !== 'active') return fail('doctor.services.down', { unit, state, said: await lastError(probes, unit, signal) });
    }
    for (const unit of units) {
      const count = Number(found[unit]?.NRestarts ?? 0);
      if (count >= 3) return warn('doctor.services.restarts', { unit, count, said: await lastError(probes, unit, signal) });
    }
    return /^(disabled|masked)$/.test(found[target]?.UnitFileState ?? '') ? warn('doctor.services.disabled') : pass('doctor.services.ok');
  },
};

/** What the unit's own process last gave as the reason for its end, from the journal of this boot; empty if nothing. */
async function lastError(probes: Probes, unit: string, signal: AbortSignal): Promise<Text | ''> {
  const said = await journalOf(probes, unit, ['--boot', '--lines=50'], signal);
  const reason = [...said.matchAll(/^(?:Error|Erreur)\s?: (.+)$/gm)].at(-1)?.[1];
  return reason === undefined ? '' : text('doctor.services.said', { reason });
}

/** What `tocsin privacy verify` finds, but for the digests of the installed files, which take too long here. */
const privacy: Check = {
  id: 'privacy',
  timeoutMs: 6000,
  needs: ['services', 'config'],
  async run(probes, { units: shown }) {
    if (shown === undefined) return skip('doctor.services.none');
    const lines = await probes.verifyPrivacy();
    const found = (state: PrivacyLine['state']) => lines.filter((line) => line.state === state);
    const [broken, open] = [found('fail'), found('unchecked')];
    const [first] = broken.length > 0 ? broken : open;
    if (!first) return pass('doctor.privacy.ok', { count: lines.length });
    const values = { part: text(`doctor.privacy.${first.part}`), what: first.what, found: first.found };
    return broken.length > 0
      ? fail('doctor.privacy.open', { ...values, count: broken.length })
      : warn('doctor.privacy.unchecked', { ...values, count: open.length });
  },
};

export const machineChecks = [config, board, power, clock, ...soundChecks, model, outbox, disk] as const;
export const serviceChecks = [services, privacy] as const;
