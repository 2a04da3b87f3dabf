import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootContainer, type Container } from '../support/container.ts';
import { type Operator, openOperator, supply } from '../support/operator.ts';
import { openStreet } from '../support/street.ts';

const packages = [...['python3', 'python3-apt', 'sudo', 'openssh-server', 'openssh-client', 'ansible-core'], ...['unattended-upgrades', 'apt-utils', 'gnupg']];

export interface Machine {
  /** Runs a shell script as root, which must succeed; returns its output. */
  run(script: string, timeoutMs?: number): string;
  /** The same with any exit status; returns the output of both streams. */
  attempt(script: string, timeoutMs?: number): { status: number; said: string };
}

export interface SensorMachine extends Machine {
  readonly name: string;
  readonly street: ReturnType<typeof openStreet>;
}

/**
 * An office with the operator's tools and the broker, and sensors: Debian 13 containers with their own systemd, in one
 * network namespace with only loopback. `share` is /mnt in all of them. Needs root, systemd-nspawn and mmdebstrap;
 * every machine writes only to memory.
 */
export async function openTown(names: readonly string[]) {
  const namespace = `tocsin-town-${process.pid}`;
  const share = mkdtempSync(join(tmpdir(), 'tocsin-town-'));
  chmodSync(share, 0o755);
  const operator = openOperator('City Authority');
  const containers: Container[] = [];
  const streets: ReturnType<typeof openStreet>[] = [];
  const close = async () => {
    await Promise.all(containers.map((container) => container.close()));
    for (const street of streets) street.close();
    execFileSync('ip', ['netns', 'delete', namespace]);
  };
  execFileSync('ip', ['netns', 'add', namespace]);
  try {
    execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
    fillShare(share, operator);
    const network = `--network-namespace-path=/run/netns/${namespace}`;
    const boot = async (street?: string) => {
      const container = await bootContainer(share, street, { packages, network });
      containers.push(container);
      return machine(container);
    };
    const office = await boot();
    office.run(settleOffice(names));
    const sensors: SensorMachine[] = [];
    for (const [i, name] of names.entries()) {
      const street = openStreet();
      streets.push(street);
      const sensor = await boot(street.folder);
      sensor.run(settleSensor(i));
      sensors.push({ ...sensor, name, street });
    }
    return { share, operator, office, sensors, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function machine(container: Container): Machine {
  const attempt = (script: string, timeoutMs?: number) => {
    const { status, stdout, stderr } = container.sh(script, timeoutMs);
    return { status, said: (stdout + stderr).trim() };
  };
  return {
    attempt,
    run(script, timeoutMs) {
      const { status, stdout, stderr } = container.sh(script, timeoutMs);
      if (status !== 0) throw new Error(`exit ${status} from ${script}:\n${stderr}${stdout}`);
      return stdout.trim();
    },
  };
}

function fillShare(share: string, operator: Operator): void {
  supply(operator, share);
  cpSync('deploy', join(share, 'deploy'), { recursive: true, filter: (path) => !path.includes('deb/out') });
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(share, 'ssh.key')]);
}

/**
 * The first block of commands of a page, as an operator would type it; the caller leaves out what is installed
 * already.
 */
export function commandsOf(page: string, after = ''): string {
  const text = readFileSync(page, 'utf8');
  return /```\n([\s\S]+?)```/.exec(text.slice(text.indexOf(after)))?.[1] as string;
}

const address = (i: number) => `127.0.1.${i + 1}`;

/** The broker as in deploy/mosquitto, a platform that receives everything, and a user with a key for the sensors. */
const settleOffice = (names: readonly string[]) => `set -e
  systemctl stop ssh.socket ssh.service 2>/dev/null || true
  echo '127.0.0.1 broker.example.org packages.example.org' >>/etc/hosts
  ${names.map((name, i) => `echo '${address(i)} ${name}.example.org' >>/etc/hosts`).join('\n')}
  cp /mnt/ca.pem /mnt/broker.* /mnt/revoked.crl /mnt/deploy/mosquitto/tocsin.* /srv && cd /srv
  ${commandsOf('deploy/mosquitto/README.md').replace('apt install mosquitto\n', '')}
  systemd-run -q --unit=platform -p Restart=always -p StandardOutput=append:/srv/received mosquitto_sub -h broker.example.org -p 8883 -V 5 \
    --cafile /mnt/ca.pem --cert /mnt/platform.pem --key /mnt/platform.key -i platform -c -q 1 -t 'tocsin/v1/#' -F '%t %p'
  useradd --create-home --shell /bin/bash office
  install -d -o office -m 700 /home/office/.ssh
  install -o office -m 600 /mnt/ssh.key /home/office/.ssh/id_ed25519
  printf 'Host *\\n  StrictHostKeyChecking accept-new\\n  User technician\\n' >/home/office/.ssh/config
  cp -r /mnt/deploy/ansible /mnt/deploy/apt /home/office/
  chown -R office: /home/office`;

/** A microphone with sound, a user who may log in and become root, and no files of the office. */
const settleSensor = (i: number) => `set -e
  systemctl stop mosquitto && systemctl mask --runtime mosquitto 2>/dev/null
  echo "127.0.0.1 $(hostname)" >>/etc/hosts
  echo 'pcm.street { type plug slave { pcm { type file slave.pcm { type null } file /dev/null infile /srv/street/pcm format raw } channels 1 } }' >/etc/asound.conf
  echo '127.0.0.1 broker.example.org packages.example.org' >>/etc/hosts
  useradd --create-home --shell /bin/bash technician
  echo 'technician ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/technician
  install -d -o technician -m 700 /home/technician/.ssh
  install -o technician -m 600 /mnt/ssh.key.pub /home/technician/.ssh/authorized_keys
  printf 'ListenAddress ${address(i)}\\n' >/etc/ssh/sshd_config.d/town.conf
  systemctl disable --now ssh.socket 2>/dev/null || true
  systemctl restart ssh.service`;
