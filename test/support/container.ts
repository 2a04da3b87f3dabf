import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const packages = [
  ...['systemd', 'systemd-sysv', 'dbus', 'udev', 'libasound2t64', 'alsa-utils', 'openssl', 'procps', 'iproute2'],
  ...['mosquitto', 'mosquitto-clients', 'sqlite3'],
];

const nspawnFlags = ['--volatile=overlay', '--register=no', '--keep-unit'];
const ownNetwork = '--private-network';

/**
 * A Debian 13 made once by mmdebstrap and kept in the user's cache. It never changes, since each container writes to
 * memory.
 */
export function debianRoot(more: readonly string[] = []): string {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tocsin-tests');
  const included = [...packages, ...more].join();
  const root = join(cache, `trixie-${createHash('sha256').update(included).digest('hex').slice(0, 12)}`);
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const beside = `${root}.${process.pid}`;
  try {
    execFileSync(
      'mmdebstrap',
      ['--quiet', '--variant=minbase', `--include=${included}`, 'trixie', beside, process.env.TOCSIN_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    renameSync(beside, root);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
  return root;
}

/**
 * The reason why no container can run here, or undefined. Makes the root if there is none, which takes minutes and
 * needs Debian's archive.
 */
export function withoutContainer(): string | undefined {
  try {
    execFileSync('systemd-nspawn', ['-D', debianRoot(), '--quiet', ...nspawnFlags, ownNetwork, 'true'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
    });
  } catch (cause) {
    return `no container can be run here: ${(cause as Error).message.trim().split('\n').at(-1)}`;
  }
}

interface Surroundings {
  /** Debian packages in addition to those of every container. */
  readonly packages?: readonly string[];
  /** The network flag of systemd-nspawn; by default a separate network with only loopback. */
  readonly network?: string;
}

export interface Container {
  /** Runs a shell script inside as root; returns its exit status and output. */
  sh(script: string, timeoutMs?: number): { status: number; stdout: string; stderr: string };
  close(): Promise<void>;
}

/**
 * Boots a whole system with systemd, in a separate network with only loopback. Inside, `share` is /mnt, and `street`,
 * the folder of a pipe with sound, is /srv/street. It cannot show kernel sound devices, nor MemoryMax, DeviceAllow and
 * IPAddressDeny if the host does not delegate control groups.
 */
export async function bootContainer(share: string, street?: string, { packages, network = ownNetwork }: Surroundings = {}): Promise<Container> {
  const binds = [`--bind-ro=${share}:/mnt`, ...(street === undefined ? [] : [`--bind-ro=${street}:/srv/street`])];
  const child: ChildProcess = spawn('systemd-nspawn', ['-D', debianRoot(packages), ...nspawnFlags, network, ...binds, '--boot'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
  });
  let console = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => {
      console = (console + text).slice(-4000);
    });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const close = async () => {
    child.kill('SIGTERM'); // an orderly power-off (systemd-nspawn(1))
    const patience = setTimeout(() => child.kill('SIGKILL'), 30_000);
    await gone;
    clearTimeout(patience);
  };
  const sh = (script: string, timeoutMs = 120_000) => {
    const [leader] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
    const environment = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive'];
    const { status, stdout, stderr } = spawnSync('nsenter', ['-t', leader ?? '', '-a', ...environment, 'sh', '-c', script], {
      encoding: 'utf8',
      timeout: timeoutMs,
    });
    return { status: status ?? -1, stdout, stderr };
  };
  for (const began = performance.now(); ; await new Promise((r) => setTimeout(r, 500))) {
    if (child.exitCode !== null || performance.now() - began > 120_000) {
      await close();
      throw new Error(`expected a container that boots, got:\n${console}`);
    }
    if (/^(running|degraded)$/.test(sh('systemctl is-system-running 2>/dev/null').stdout.trim())) return { sh, close };
  }
}
