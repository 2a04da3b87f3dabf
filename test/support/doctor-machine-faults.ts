// Faults of the board without the network: from power to disk, services and privacy.
import { chmodSync, cpSync, mkdtempSync, openSync, readFileSync, rmSync, type Stats, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { resolveDevice } from '../../agent/audio/identity.ts';
import type { Probes } from '../../agent/cli/doctor/probes.ts';
import type { HearingRecord } from '../../agent/events/health.ts';
import { openClock, releasedMs } from '../../agent/lib/clock.ts';
import { openSqlite } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from './broker.ts';
import { cardTree } from './cards.ts';
import { alsa, clock, cool, type DoctorBench, files, outboxOf, type Planted, paced, type Row, store, systemctl, verified } from './doctor.ts';
import { sayLater } from './older-outbox.ts';
import { bootId, hearingRecord, limits } from './samples.ts';

const telephone = { samples: 1, rate: 1, levelDb: -40, peakDb: -20, zeros: false, flat: false, clippedShare: 0, hardwareRate: 8000 };
/** Opens the named device while two devices of one model are plugged in. */
export async function twins({ device }: { device: string }): Promise<never> {
  const { tree, plug } = cardTree();
  plug(1, 'Device', { port: '1-1.3', model: '0d8c:0014' });
  plug(2, 'Device_1', { port: '1-1.4', model: '0d8c:0014' });
  throw new Error(resolveDevice(device, tree).pcm);
}

/** Opens the named device while none is plugged in. */
export async function unplugged({ device }: { device: string }): Promise<never> {
  throw new Error(resolveDevice(device, cardTree().tree).pcm);
}

const busy = 'echo "arecord: main:831: audio open error: Device or resource busy" >&2; exit 1';

/** An hour that ended just now, of which the microphone was heard for so much. */
const heard = (share: number, agoMs = 0) => {
  const writtenMonotonicMs = clock.monotonicMs() - agoMs;
  return { writtenMonotonicMs, sinceMonotonicMs: writtenMonotonicMs - 3_600_000, listenedSeconds: 3600 * share };
};

export function machineFaults({ folder, standIn, standing }: DoctorBench): Row[] {
  /** A running listener that reported this hearing record; the microphone is busy. */
  const held = (told: Partial<HearingRecord>) => (): Planted => ({
    ...alsa(),
    probes: systemctl({}, {}),
    plant(path) {
      const outbox = openSqliteOutbox(outboxOf(path), limits);
      outbox.writeHearing(hearingRecord({ bootId: clock.bootId, ...heard(0.999), ...told }));
      outbox.close();
      return standIn(busy);
    },
  });
  const inLittleMemory = (): Planted => ({ probes: { ...files({ '/proc/self/mountinfo': '9 1 0:9 / / rw - tmpfs none rw\n' }), freeMegabytes: () => 127 } });
  return [
    ['no configuration', () => ({ plant: (path) => void rmSync(path) }), 'config', 'fail', 'config.absent'],
    ['a wrong configuration', () => ({ site: 'Vieux Port' }), 'config', 'fail', 'config.wrong'],
    ['a hot board', () => ({ probes: { temperature: () => 83.5 } }), 'board', 'warn', 'board.hot'],
    ['little memory', () => ({ probes: { ...cool, ...files({ '/proc/meminfo': 'MemAvailable:  60000 kB\n' }) } }), 'board', 'warn', 'board.small'],
    ['under-voltage', () => ({ probes: files({ '/sys/devices/platform/soc/soc:firmware/get_throttled': '50005' }) }), 'power', 'fail', 'power.now'],
    ['earlier throttling', () => ({ probes: files({ '/sys/devices/platform/soc/soc:firmware/get_throttled': '20000' }) }), 'power', 'warn', 'power.since'],
    [
      'a clock a day before the release date',
      () => ({ probes: { clock: { ...clock, wallMs: () => releasedMs - 86_400_000 } } }),
      'clock',
      'fail',
      'clock.unset',
    ],
    ['the clock at 1970', () => ({ probes: { clock: { ...clock, wallMs: () => 60_000 } } }), 'clock', 'fail', 'clock.unset'],
    ['a clock that was never set', () => ({ probes: { clock: { ...clock, synchronised: () => false } } }), 'clock', 'warn', 'clock.unsynchronised'],
    ['a board that slept', () => ({ probes: files({ '/proc/uptime': `${clock.monotonicMs() / 1000 + 3600} 1.00\n` }) }), 'clock', 'warn', 'clock.slept'],
    ['a clock that jumped after it was recorded', jumped, 'clock', 'warn', 'clock.unsynchronised'],
    ['an absent microphone', () => alsa('plughw:CARD=Nowhere,DEV=0'), 'microphone', 'fail', missing('arecord') ? 'microphone.tool' : 'microphone.absent'],
    [
      'no arecord',
      () => {
        const { PATH } = process.env;
        process.env.PATH = '/nowhere';
        const back = () => {
          process.env.PATH = PATH;
        };
        return { ...alsa(), plant: () => back };
      },
      'microphone',
      'fail',
      'microphone.tool',
    ],
    ['a busy microphone', standing(busy), 'microphone', 'fail', 'microphone.busy'],
    ['a microphone that the listener hears', held({ state: 'listening', fault: 'none' }), 'microphone', 'pass', 'microphone.listener'],
    ['a microphone that the listener hears clipped', held({ state: 'listening', fault: 'clipped' }), 'level', 'warn', 'level.loud'],
    ['a microphone that the listener suspects to be covered', held({ suspicion: 'covered' }), 'level', 'warn', 'level.covered'],
    ['a microphone that the listener suspects to be noisy', held({ suspicion: 'noisy' }), 'level', 'warn', 'level.noisy'],
    ['a microphone that the listener heard for half of the time', held(heard(0.5)), 'microphone', 'warn', 'microphone.missed'],
    ['a listener that has not reported for two hours', held(heard(0.999, 7_200_000)), 'microphone', 'warn', 'microphone.silent'],
    ['a microphone that the listener holds and does not hear', held({ state: 'deaf', fault: 'zeros' }), 'microphone', 'fail', 'microphone.deaf'],
    ['a microphone that the listener waits for', held({ state: 'deaf', fault: 'busy' }), 'microphone', 'fail', 'microphone.busy'],
    [
      'a microphone that a listener of an earlier boot did not hear',
      held({ state: 'deaf', fault: 'zeros', bootId }),
      'microphone',
      'pass',
      'microphone.listener',
    ],
    [
      'a forbidden microphone',
      standing('echo "arecord: main:831: audio open error: Permission denied" >&2; exit 1'),
      'microphone',
      'fail',
      'microphone.forbidden',
    ],
    ['a microphone without samples', standing('exec sleep 60'), 'microphone', 'fail', 'microphone.stalled'],
    ['half the samples', standing(paced('pack("s<*", map { 900*sin($_/7)+rand(9) } 1..1600)', 0.5)), 'microphone', 'fail', 'microphone.slow'],
    ['another capture error', standing('echo "arecord: set_params:1416: Unable to install hw params" >&2; exit 1'), 'microphone', 'fail', 'microphone.other'],
    [
      'a microphone with a telephone’s sampling rate',
      () => ({ ...alsa(), probes: { listen: async () => telephone } }),
      'microphone',
      'warn',
      'microphone.rate',
    ],
    ['two identical microphones', () => ({ ...alsa('usb:0d8c:0014'), probes: { listen: twins } }), 'microphone', 'fail', 'microphone.wrong'],
    ['no microphone at its port', () => ({ ...alsa('usb:1-1.5'), probes: { listen: twins } }), 'microphone', 'fail', 'microphone.absent'],
    ['a missing audio file', () => ({ microphone: { adapter: 'file', file: '/nowhere.wav' } }), 'microphone', 'fail', 'microphone.noFile'],
    ['a file instead of a microphone', () => ({}), 'microphone', 'warn', 'microphone.file'],
    ['digital zeros', standing(paced('"\\0" x 3200')), 'level', 'fail', 'level.zeros'],
    ['a constant signal', standing(paced('pack("s<*", (700) x 1600)')), 'level', 'fail', 'level.flat'],
    ['a covered microphone', standing(paced('pack("s<*", map { int(rand(4)) } 1..1600)')), 'level', 'warn', 'level.quiet'],
    [
      'clipping of one channel of two',
      standing(paced('pack("s<*", map { (900*sin($_/7), $_ % 40 < 20 ? 32767 : -32768) } 1..1600)', 1, 2)),
      'level',
      'warn',
      'level.clipped',
    ],
    ['clipping', standing(paced('pack("s<*", map { $_ % 40 < 20 ? 32767 : -32768 } 1..1600)')), 'level', 'warn', 'level.clipped'],
    [
      'clipping for the first half second alone',
      standing(paced('pack("s<*", map { $n++ < 8000 ? 32767 * ($_ % 2 ? 1 : -1) : 900*sin($_/7)+rand(9) } 1..1600)')),
      'level',
      'warn',
      'level.clipped',
    ],
    ['no model', () => ({ model: { path: join(folder, 'no-model') } }), 'model', 'fail', 'model.missing'],
    ['a changed model', () => ({ model: { path: changedModel(folder) } }), 'model', 'fail', 'model.wrong'],
    ['a slow board', () => ({ probes: { tryModel: async () => ({ name: 'street', version: '1', costMs: 900 }) } }), 'model', 'fail', 'model.slow'],
    ['a damaged outbox', () => ({ plant: damage }), 'outbox', 'fail', 'outbox.damaged'],
    ['an outbox that another program has locked', locked, 'outbox', 'fail', 'outbox.locked'],
    ['a folder in place of the outbox', () => ({ outbox: { path: folder } }), 'outbox', 'fail', 'outbox.folder'],
    ['an outbox that was copied back by root', () => ({ plant: copiedBack }), 'outbox', 'fail', 'outbox.unshared'],
    ['an outbox of a later release', () => ({ plant: (path) => void sayLater(outboxOf(path)) }), 'outbox', 'fail', 'outbox.later'],
    ['no outbox', () => ({ plant: (path) => void rmSync(outboxOf(path)) }), 'outbox', 'warn', 'outbox.none'],
    ['a folder of root alone, as a partition that was just mounted', () => inFolder(0o755, false), 'outbox', 'fail', 'outbox.closed'],
    ['the same with an outbox in it', () => inFolder(0o755, true), 'outbox', 'fail', 'outbox.closed'],
    ['no outbox in the folder of its group', () => inFolder(0o2770, false, process.getgid?.()), 'outbox', 'warn', 'outbox.none'],
    ['late events', () => ({ plant: (path) => store(path, false, Date.now() - 120_000) }), 'outbox', 'warn', 'outbox.late'],
    ['late events of a boot with its clock in 2100', () => ({ plant: (path) => store(path, false, Date.UTC(2100)) }), 'outbox', 'warn', 'outbox.late'],
    ['expired events', () => ({ plant: (path) => store(path, true) }), 'outbox', 'warn', 'outbox.lost'],
    ['little disk space', () => ({ probes: { freeMegabytes: () => 127 } }), 'disk', 'warn', 'disk.low'],
    ['an outbox in memory, of which there is little', inLittleMemory, 'disk', 'warn', 'disk.memory'],
    ['a missing outbox folder', () => ({ outbox: { path: join(folder, 'nowhere', 'outbox.db') } }), 'disk', 'fail', 'disk.absent'],
    ['a failed service', () => ({ probes: systemctl({}, { ActiveState: 'failed', SubState: 'failed' }) }), 'services', 'fail', 'services.down'],
    ['a service not installed', () => ({ probes: systemctl({ LoadState: 'not-found' }, {}) }), 'services', 'fail', 'services.missing'],
    ['a masked service', () => ({ probes: systemctl({ LoadState: 'masked' }, {}) }), 'services', 'fail', 'services.masked'],
    ['a service with a drop-in that is refused', () => ({ probes: systemctl({}, { LoadState: 'bad-setting' }) }), 'services', 'fail', 'services.unloadable'],
    ['a masked target', () => ({ probes: systemctl({}, {}, '', { UnitFileState: 'masked' }) }), 'services', 'warn', 'services.disabled'],
    ['a target that is not enabled', () => ({ probes: systemctl({}, {}, '', { UnitFileState: 'disabled' }) }), 'services', 'warn', 'services.disabled'],
    ['a restarting service', () => ({ probes: systemctl({ NRestarts: 7 }, {}) }), 'services', 'warn', 'services.restarts'],
    ['a listener with a network', () => ({ probes: { ...systemctl({}, {}), ...verified('fail') } }), 'privacy', 'fail', 'privacy.open'],
    ['unchecked privacy', () => ({ probes: { ...systemctl({}, {}), ...verified('unchecked') } }), 'privacy', 'warn', 'privacy.unchecked'],
  ];
}

function changedModel(folder: string): string {
  const copy = join(mkdtempSync(join(folder, 'model-')), 'street');
  cpSync('models/street', copy, { recursive: true });
  const file = openSync(join(copy, 'model.onnx'), 'r+');
  writeSync(file, 'x', 1000);
  return copy;
}

/** A clock file that matches the time, and another boot start recorded in the outbox. */
function jumped() {
  const { bootId, wallMs, monotonicMs } = clock;
  const setMs = wallMs();
  const plant = (path: string): undefined => {
    const outbox = openSqliteOutbox(outboxOf(path), limits);
    outbox.noteBoot(bootId, wallMs() - monotonicMs() - 3_600_000);
    outbox.close();
  };
  return { plant, probes: { clock: openClock({ bootId, wallMs, monotonicMs, evidence: () => ({ setMs }) }) } };
}

/** Another connection holds the file alone, as a program does that repairs or copies it. */
function locked(): Planted {
  const plant = (path: string) => {
    const other = openSqlite(outboxOf(path));
    other.pragma('locking_mode = EXCLUSIVE');
    other.exec('BEGIN EXCLUSIVE');
    return () => void other.close();
  };
  return { plant };
}

/** In the folder that the package makes. */
function copiedBack(path: string): undefined {
  chmodSync(dirname(outboxOf(path)), 0o2770);
  chmodSync(outboxOf(path), 0o644);
}

/** A folder of root where the package made its group. The owner alone is made up, so that no root is needed. */
function inFolder(mode: number, hasOutbox: boolean, group = 64_991): Planted {
  const rightsOf: Probes['rightsOf'] = (folder) => ({ ...(statSync(folder) as Stats), uid: 0 });
  return {
    probes: { ...files({ '/etc/group': `root:x:0:\ntocsin-meter:x:990:\ntocsin:x:${group}:tocsin-listener,tocsin-courier\n` }), rightsOf },
    plant(path) {
      chmodSync(dirname(outboxOf(path)), mode);
      if (!hasOutbox) rmSync(outboxOf(path));
      return undefined;
    },
  };
}

function damage(path: string): undefined {
  const bytes = readFileSync(outboxOf(path));
  bytes.fill(0x55, 1024, 8 * 1024);
  writeFileSync(outboxOf(path), bytes);
}
