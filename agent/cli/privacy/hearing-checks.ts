// Who else hears on this machine, and whether the half that speaks could ask it.
import { readFileSync } from 'node:fs';
import { fail, type HalfCheck, listed, pass } from './check.ts';
import { isSound, numbersOf } from './file-checks.ts';
import { allProcesses, holds, namespaceOf, unlessGone } from './process.ts';
import { reachOf } from './reach.ts';
import { type Socket, socketsOf } from './sockets.ts';

/** Sound servers by their kernel process names, because a server may release a device that nobody uses. */
const soundServers = /^(pulseaudio|pipewire(-pulse)?|wireplumber|jackd|jackdbus|sndiod|nasd|esd|roard|snapserver)$/;

/**
 * Whether the courier could get sound from a sound server although it has no sound device: by a port in its network
 * namespace, a socket name without a path, or a socket path that it may open.
 */
const hearing: HalfCheck = {
  id: 'hearing',
  only: 'courier',
  byHand: ({ pid }) =>
    `sudo find /proc/[0-9]*/fd -lname '/dev/snd/*' 2>/dev/null | cut -d/ -f3 | sort -u | xargs -r ps -o pid,args -p; sudo nsenter -t ${pid} -n ss -ltxnp | grep -E 'pulse|pipewire|jack|snd' || echo none`,
  run({ pid }, { halves: { listener } }) {
    const own = [process.pid, ...(typeof listener === 'string' ? [] : listener.processes)];
    const hears = allProcesses().filter(
      (one) => !own.includes(one) && (soundServers.test(nameOf(one)) || holds(one, (descriptor) => isSound(numbersOf(descriptor)))),
    );
    const may = reachOf(pid);
    const isReachable = ({ pid: server, path }: Socket) =>
      path?.startsWith('/') ? may(path) : unlessGone(() => namespaceOf(server, 'net'), '') === namespaceOf(pid, 'net');
    const reachable = hears.flatMap((one) =>
      waitingOf(one)
        .filter(isReachable)
        .map((socket) => `${nameOf(one)} [${one}] ${at(socket)}`),
    );
    if (reachable.length > 0) return fail('privacy.hearing.reachable', { what: listed(reachable) });
    return hears.length > 0 ? pass('privacy.hearing.apart', { count: hears.length }) : pass('privacy.hearing.none');
  },
};

const nameOf = (pid: number): string => unlessGone(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(), '');

const waitingOf = (pid: number): Socket[] => unlessGone(() => socketsOf(pid), []).filter(({ listening }) => listening);

const at = ({ local, path }: Socket): string => (local ? `${local.address}:${local.port}` : (path ?? ''));

export const hearingChecks = [hearing] as const;
