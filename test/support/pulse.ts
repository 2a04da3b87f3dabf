import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A PulseAudio of a test's own, whose only microphone hears what is played to its only speaker. */
export async function openStreet() {
  const home = mkdtempSync(join(tmpdir(), 'tocsin-pulse-'));
  const socket = join(home, 'native');
  const env = { ...process.env, HOME: home, XDG_RUNTIME_DIR: join(home, 'run'), PULSE_SERVER: `unix:${socket}`, PULSE_RUNTIME_PATH: join(home, 'run') };
  mkdirSync(join(home, 'run'), { mode: 0o700 });
  const modules = [`module-native-protocol-unix socket=${socket} auth-anonymous=1`, 'module-null-sink sink_name=street rate=48000'];
  const args = ['-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', ...modules.map((m) => `--load=${m}`)];
  const pulse: ChildProcess = spawn('pulseaudio', args, { env, stdio: 'ignore' });
  const ready = () => spawnSync('pactl', ['set-default-source', 'street.monitor'], { env }).status === 0;
  for (let i = 0; i < 100 && !ready(); i++) await new Promise((resolve) => setTimeout(resolve, 100));
  return {
    env,
    home,
    async close() {
      const gone = new Promise((resolve) => pulse.once('close', resolve));
      pulse.kill('SIGKILL');
      await gone;
    },
  };
}
