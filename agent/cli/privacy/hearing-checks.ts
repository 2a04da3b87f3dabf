// Who else hears on this machine, and whether the half that speaks could ask it.
import { readdirSync, readFileSync } from 'node:fs';
import { fail, type HalfCheck, listed, pass } from './check.ts';
import { isSound, numbersOf } from './file-checks.ts';
import { allProcesses, namespaceOf } from './process.ts';
import { reachOf } from './reach.ts';
import { type Socket, socketsOf } from './sockets.ts';

/** By their names as the kernel keeps them, for a server that lets go of a device that nobody uses. */
const soundServers = /^(pulseaudio|pipewire(-pulse)?|wireplumber|jackd|jackdbus|sndiod|nasd|esd|roard|snapserver)$/;

const init = 1; // opens no sound device; in a container not even root may look at it

/** A sound server would hand over what the devices withhold: from a port in its network, a name without a path, or a path it may open. */
const hearing: HalfCheck = {
  id: 'hearing',
  only: 'courier',
  byHand: ({ pid }) =>
    `sudo find /proc/[0-9]*/fd -lname '/dev/snd/*' 2>/dev/null | cut -d/ -f3 | sort -u | xargs -r ps -o pid,args -p; sudo nsenter -t ${pid} -n ss -ltxnp | grep -E 'pulse|pipewire|jack|snd' || echo none`,
  run({ pid }, { halves: { listener } }) {
    const own = [process.pid, ...(typeof listener === 'string' ? [] : listener.processes)];
    const hears = allProcesses().filter((one) => !own.includes(one) && (soundServers.test(nameOf(one)) || (one !== init && holdsSound(one))));
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

/** What leaves while it is looked at holds and serves nothing. */
function unlessGone<T>(look: () => T, gone: T): T {
  try {
    return look();
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return gone;
    throw error;
  }
}

const nameOf = (pid: number): string => unlessGone(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(), '');

function holdsSound(pid: number): boolean {
  return unlessGone(() => readdirSync(`/proc/${pid}/fd`), []).some((fd) => unlessGone(() => isSound(numbersOf(`/proc/${pid}/fd/${fd}`)), false));
}

const waitingOf = (pid: number): Socket[] => unlessGone(() => socketsOf(pid), []).filter(({ listening }) => listening);

const at = ({ local, path }: Socket): string => (local ? `${local.address}:${local.port}` : (path ?? ''));

export const hearingChecks = [hearing] as const;
