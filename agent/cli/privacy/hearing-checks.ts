// Who else hears on this machine, and whether the half that speaks could ask it.
import { existsSync, lstatSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { fail, type HalfCheck, listed, pass } from './check.ts';
import { isSound, numbersOf } from './file-checks.ts';
import { interfacesOf } from './network-checks.ts';
import { allProcesses, argumentsOf, familyOf, holds, namespaceOf, realScript, statusOf, unlessGone } from './process.ts';
import { isCapture } from './process-checks.ts';
import { reachOf } from './reach.ts';
import { pathsOf, type Socket, socketsOf } from './sockets.ts';

/** Sound servers by their kernel process names, because a server may release a device that nobody uses. */
const soundServers = /^(pulseaudio|pipewire(-pulse)?|wireplumber|jackd|jackdbus|sndiod|nasd|esd|roard|snapserver)$/;

/**
 * Whether another program records, and whether the courier could get sound from a sound server although it has no sound
 * device: by a port in its network namespace, a socket name without a path, or a socket path that it may open.
 */
const hearing: HalfCheck = {
  id: 'hearing',
  only: 'courier',
  byHand: ({ pid }) =>
    `sudo find /proc/[0-9]*/task/*/fd -lname '/dev/snd/*' -o -lname '/dev/*dsp*' -o -lname '/dev/audio*' 2>/dev/null | cut -d/ -f3 | sort -u | xargs -r ps -o pid,args -p; sudo nsenter -t ${pid} -n ss -ltxnp | grep -E 'pulse|pipewire|jack|snd' || echo none`,
  run({ pid }, { halves: { listener }, installation }) {
    // doctor may listen itself meanwhile
    const ours = familyOf(process.pid).filter((one) => one === process.pid || unlessGone(() => isCapture(one, installation), true));
    const own = [...ours, ...(typeof listener === 'string' ? [] : listener.processes)];
    const hears = allProcesses().filter(
      (one) => !own.includes(one) && (soundServers.test(nameOf(one)) || holds(one, (descriptor) => isSound(numbersOf(descriptor)))),
    );
    const recording = hears.filter((one) => holds(one, isCaptureDevice) && !isOfListener(one, installation, pid));
    if (recording.length > 0) return fail('privacy.hearing.recording', { what: listed(recording.map((one) => `${nameOf(one)} [${one}]`)) });
    const may = reachOf(pid);
    const isReachable = (socket: Socket) =>
      socket.path?.startsWith('/') ? pathsOf(socket).some(may) : unlessGone(() => namespaceOf(socket.pid), '') === namespaceOf(pid);
    const reachable = hears.flatMap((one) =>
      waitingOf(one)
        .filter(isReachable)
        .map((socket) => `${nameOf(one)} [${one}] ${at(socket)}`),
    );
    if (reachable.length > 0) return fail('privacy.hearing.reachable', { what: listed(reachable) });
    return hears.length > 0 ? pass('privacy.hearing.apart', { count: hears.length }) : pass('privacy.hearing.none');
  },
};

/** A device that gives sound, and not one that sets volumes or plays; by its name where the kernel does not know it. */
function isCaptureDevice(descriptor: string): boolean {
  const device = numbersOf(descriptor);
  const known = `/sys/dev/char/${device.major}:${device.minor}`;
  if (!isSound(device)) return false;
  const name = readlinkSync(existsSync(known) ? known : descriptor);
  // one node of OSS gives sound and takes it: /proc says what a descriptor or a mapping is for
  return /\/pcmC\d+D\d+c$/.test(name) || (/\/(a?dsp|audio)\d*$/.test(name) && (lstatSync(descriptor).mode & 0o600) !== 0o200);
}

/**
 * The recorder of another sensor's listener on this board, which is verified by itself. A listener that has a
 * network, or shares the courier's, was started by hand, outside of a unit.
 */
function isOfListener(pid: number, installation: string, courier: number): boolean {
  const parent = Number(unlessGone(() => statusOf(pid)('PPid'), '0'));
  const [, script = '', command = ''] = unlessGone(() => argumentsOf(parent), []);
  if (command !== 'listen') return false; // first: of process 1 no more than its arguments may be read
  const isOurs = unlessGone(() => readlinkSync(`/proc/${parent}/exe`), '').startsWith(`${realpathSync(installation)}/`); // whoever starts a program names its arguments
  const isListener = isOurs && realScript(parent, script) === realScript(parent, `${installation}/agent/main.ts`);
  return isListener && unlessGone(() => namespaceOf(parent) !== namespaceOf(courier) && interfacesOf(parent).ways.length === 0, true);
}

const nameOf = (pid: number): string => unlessGone(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(), '');

const waitingOf = (pid: number): Socket[] => unlessGone(() => socketsOf(pid), []).filter(({ listening }) => listening);

const at = ({ local, path }: Socket): string => (local ? `${local.address}:${local.port}` : (path ?? ''));

export const hearingChecks = [hearing] as const;
