// The only file that imports koffi.

/** Tells systemd how the service is (sd_notify, type notify). Does nothing where nobody listens. */
export interface Notifier {
  /** Started: called once, later calls do nothing. */
  ready(): void;
  /** Work has moved. Pings the watchdog, but not more often than it needs. Never called from a timer: a hang must stop it. */
  progress(): void;
  stopping(): void;
  /** A line of fixed words that `systemctl status` shows. */
  status(words: string): void;
}

const silent: Notifier = { ready: () => undefined, progress: () => undefined, stopping: () => undefined, status: () => undefined };
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/**
 * Opens the socket that systemd names in NOTIFY_SOCKET; WATCHDOG_USEC is how often it wants to hear, WATCHDOG_PID from whom
 * (sd_notify(3), sd_watchdog_enabled(3)). Node has no datagram socket of the family AF_UNIX, hence libc's; the address is the one
 * of NOTIFY_SOCKET and no other function is bound.
 */
export async function openNotifier(env: NodeJS.ProcessEnv, monotonicMs: () => number): Promise<Notifier> {
  const path = env.NOTIFY_SOCKET;
  if (!path || !/^[/@]/.test(path)) return silent;
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const sendto = libc.func('long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t size)');
  const descriptor: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return silent;
  const name = Buffer.from(path.replace(/^@/, '\0')); // a name that begins with @ is an abstract one
  const address = Buffer.alloc(2 + name.length + (path.startsWith('/') ? 1 : 0));
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  const send = (message: string) => {
    const data = Buffer.from(message);
    sendto(descriptor, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  };

  const mine = !env.WATCHDOG_PID || Number(env.WATCHDOG_PID) === process.pid;
  const everyMs = mine && Number(env.WATCHDOG_USEC) > 0 ? Number(env.WATCHDOG_USEC) / 4000 : Number.POSITIVE_INFINITY;
  let started = false;
  let nextMs = Number.NEGATIVE_INFINITY;
  return {
    ready() {
      if (!started) send('READY=1');
      started = true;
    },
    progress() {
      if (everyMs === Number.POSITIVE_INFINITY || monotonicMs() < nextMs) return;
      nextMs = monotonicMs() + everyMs;
      send('WATCHDOG=1');
    },
    stopping: () => send('STOPPING=1'),
    status: (words) => send(`STATUS=${words}`),
  };
}
