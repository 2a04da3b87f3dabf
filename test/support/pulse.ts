import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A private PulseAudio with one null sink, whose monitor is the microphone. `env` points to it. */
export async function openStreet(channels = 1) {
  const home = mkdtempSync(join(tmpdir(), 'tocsin-pulse-'));
  const socket = join(home, 'native');
  const { NODE_COMPILE_CACHE: _, ...usual } = process.env; // what the agent writes is looked at
  const env = { ...usual, HOME: home, XDG_RUNTIME_DIR: join(home, 'run'), PULSE_SERVER: `unix:${socket}`, PULSE_RUNTIME_PATH: join(home, 'run') };
  mkdirSync(join(home, 'run'), { mode: 0o700 });
  const child: ChildProcess = spawn(
    'pulseaudio',
    ['-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', `--load=module-native-protocol-unix socket=${socket} auth-anonymous=1`],
    { env, stdio: 'ignore' },
  );
  const pactl = (...args: string[]) => spawnSync('pactl', args, { env }).status === 0;
  for (let i = 0; i < 100 && !pactl('info'); i++) await new Promise((r) => setTimeout(r, 100));
  const pulse = {
    env,
    home,
    plug() {
      pactl('load-module', 'module-null-sink', 'sink_name=street', 'rate=48000', `channels=${channels}`);
      pactl('set-default-source', 'street.monitor');
    },
    unplug: () => pactl('unload-module', 'module-null-sink'),
    /** Freezes or continues the sound server. */
    freeze: (on: boolean) => child.kill(on ? 'SIGSTOP' : 'SIGCONT'),
    /** Repeats a file to the microphone until stopped, also after it was unplugged; returns a function that stops. */
    play(file: string): () => void {
      const player = spawn('sh', ['-c', `while :; do paplay "$0" || sleep 0.2; done`, file], { env, stdio: 'ignore', detached: true });
      return () => process.kill(-(player.pid as number), 'SIGKILL');
    },
    async close() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
  pulse.plug();
  return pulse;
}
