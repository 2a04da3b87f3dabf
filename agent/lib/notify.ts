/** Tells systemd the state of the service (sd_notify, type notify). Does nothing if nobody listens. */
export interface Notifier {
  /** The service has started. May be called often; systemd is told once. */
  ready(): void;
  /**
   * Work has progressed. Pings the watchdog, or before `ready` asks for more time to start, but not more often than
   * needed. Never called from a timer: a hang must stop the calls.
   */
  progress(): void;
  stopping(): void;
  /** A line of fixed words that `systemctl status` shows. */
  status(words: string): void;
}

const silent: Notifier = { ready: () => undefined, progress: () => undefined, stopping: () => undefined, status: () => undefined };

/**
 * Opens the socket that systemd names in NOTIFY_SOCKET. WATCHDOG_USEC is the watchdog's timeout, WATCHDOG_PID the
 * process that must ping it (sd_notify(3), sd_watchdog_enabled(3)).
 */
export async function openNotifier(env: NodeJS.ProcessEnv, monotonicMs: () => number): Promise<Notifier> {
  const path = env.NOTIFY_SOCKET;
  if (!path || !/^[/@]/.test(path)) return silent;
  const { datagramsTo } = await import('./libc.ts'); // Node has no datagram socket of this family
  const send = datagramsTo(path);

  const mine = !env.WATCHDOG_PID || Number(env.WATCHDOG_PID) === process.pid;
  const watchdogUsec = mine ? Number(env.WATCHDOG_USEC) : 0;
  const everyMs = watchdogUsec > 0 ? watchdogUsec / 4000 : Number.POSITIVE_INFINITY;
  let ready = false;
  let words: string | undefined; // kept until systemd has been told: its socket may be full
  let started = false;
  const tell = () => {
    started ||= ready && send('READY=1');
    if (words !== undefined && send(`STATUS=${words}`)) words = undefined;
  };
  let nextMs = Number.NEGATIVE_INFINITY;
  return {
    ready() {
      ready = true;
      tell();
    },
    progress() {
      tell();
      if (everyMs === Number.POSITIVE_INFINITY || monotonicMs() < nextMs) return;
      if (send(started ? 'WATCHDOG=1' : `EXTEND_TIMEOUT_USEC=${watchdogUsec}`)) nextMs = monotonicMs() + everyMs;
    },
    stopping: () => void send('STOPPING=1'),
    status(now) {
      words = now;
      tell();
    },
  };
}
