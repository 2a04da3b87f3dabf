import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { debianRoot } from '../support/container.ts';

const packages = ['linux-image-amd64', 'kmod', 'usbip', 'qemu-guest-agent', 'systemd-timesyncd'];
const environment = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive'];

const crashes = [132, 133, 134, 139]; // SIGILL, SIGTRAP, SIGABRT, SIGSEGV: emulated, Node ends so once in a dozen starts, and never else

/** The address of the machine that emulates the board, as the board sees it. */
export const host = '10.0.2.2';

export interface Board {
  /**
   * Runs a shell script as root, up to twice more if it crashes; returns its exit status and the output of both streams.
   */
  attempt(script: string, timeoutMs?: number): Promise<{ status: number; said: string }>;
  /** The same for a script that must succeed; returns its output. */
  run(script: string, timeoutMs?: number): Promise<string>;
  /** Switches it on, with the clock of the board at this time (UTC), by default at the true one. */
  boot(clock?: string): Promise<void>;
  /** Takes the power away: what was not written to the disk by then is lost. */
  cut(): Promise<void>;
}

/**
 * A whole x86-64 board with Debian 13, its kernel and a disk with ext4, in qemu. `share` is /mnt in it. Emulated by
 * default, some twenty times slower than real; `accelerator` may be `kvm` where that runs Debian's kernel. Needs root,
 * qemu-system-x86 and mmdebstrap. It cannot show the drivers of a board's own parts, nor what an SD card does when its
 * power is cut.
 */
export function openBoard(share: string, accelerator = 'tcg'): Board & { close(): Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-board-'));
  const root = debianRoot(packages);
  const kernel = (name: string) => join(root, 'boot', readdirSync(join(root, 'boot')).find((file) => file.startsWith(name)) as string);
  const [disk, agentSocket] = [join(folder, 'disk.qcow2'), join(folder, 'agent')];
  execFileSync('mkfs.ext4', ['-q', '-d', root, join(folder, 'disk.img'), '3G'], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', join(folder, 'disk.img'), disk]);
  let machine: ChildProcess | undefined;
  let agent: Agent | undefined;

  const once = async (script: string, timeoutMs: number) => {
    if (agent === undefined) throw new Error('Expected a board that is on, got one that is off');
    const { pid } = await agent.ask('guest-exec', { path: '/bin/sh', arg: ['-c', script], env: environment, 'capture-output': 'merged' });
    for (const began = performance.now(); performance.now() - began < timeoutMs; await delay(100)) {
      const { exited, exitcode = -1, 'out-data': said = '' } = await agent.ask('guest-exec-status', { pid });
      if (exited)
        return {
          status: exitcode as number,
          said: Buffer.from(said as string, 'base64')
            .toString()
            .trim(),
        };
    }
    throw new Error(`waited ${timeoutMs / 1000} s in vain for ${script}`);
  };
  const attempt = async (script: string, timeoutMs = 240_000) => {
    let result = await once(script, timeoutMs);
    for (let more = 2; more > 0 && crashes.includes(result.status); more--) result = await once(script, timeoutMs);
    return result;
  };
  const run = async (script: string, timeoutMs?: number) => {
    const { status, said } = await attempt(script, timeoutMs);
    if (status !== 0) throw new Error(`exit ${status} from ${script}:\n${said}`);
    return said;
  };
  const cut = async () => {
    agent?.close();
    agent = undefined;
    if (machine === undefined || machine.exitCode !== null) return;
    const gone = new Promise((resolve) => machine?.once('exit', resolve));
    machine.kill('SIGKILL');
    await gone;
  };
  const boot = async (clock = 'utc') => {
    rmSync(agentSocket, { force: true });
    machine = spawn(
      'qemu-system-x86_64',
      [
        ...['-machine', 'q35', '-accel', accelerator, '-cpu', 'max', '-smp', '2', '-m', '1024', '-nodefaults', '-display', 'none', '-no-reboot'],
        ...['-kernel', kernel('vmlinuz'), '-initrd', kernel('initrd'), '-append', 'root=/dev/vda rw quiet', '-rtc', `base=${clock}`],
        ...['-drive', `file=${disk},if=virtio,cache=none`], // what the board syncs is on the disk, and a cut loses the rest
        ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net'],
        ...['-virtfs', `local,path=${share},mount_tag=share,security_model=none,readonly=on`],
        ...['-device', 'virtio-serial', '-chardev', `socket,path=${agentSocket},server=on,wait=off,id=agent`],
        ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    agent = await openAgent(agentSocket, machine);
    await run('link=$(basename /sys/class/net/en*); ip link set $link up; ip address replace 10.0.2.15/24 dev $link; ip route replace default via 10.0.2.2');
    await run('mountpoint -q /mnt || mount -t 9p -o trans=virtio,ro share /mnt; modprobe vhci-hcd');
  };
  const close = async () => {
    await cut();
    rmSync(folder, { recursive: true, force: true });
  };
  return { attempt, run, boot, cut, close };
}

interface Agent {
  // biome-ignore lint/suspicious/noExplicitAny: the answers of the guest agent, each of another form
  ask(command: string, parameters: object): Promise<any>;
  close(): void;
}

const bootSeconds = 300;

/** The guest agent of qemu (JSON, a line each way), once it answers. */
async function openAgent(path: string, machine: ChildProcess): Promise<Agent> {
  for (const began = performance.now(); performance.now() - began < bootSeconds * 1000; await delay(1000)) {
    if (machine.exitCode !== null) throw new Error(`qemu ended with ${machine.exitCode}`);
    try {
      const socket = await connected(path);
      const ask = asker(socket);
      const late = delay(5000, 'late', { ref: false });
      if ((await Promise.race([ask('guest-ping', {}), late])) !== 'late') return { ask, close: () => socket.destroy() };
      socket.destroy();
    } catch {} // qemu has not made it yet
  }
  throw new Error(`waited ${bootSeconds} s in vain for a board that boots`);
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', reject);
  });
}

function asker(socket: Socket): Agent['ask'] {
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  socket.on('error', () => undefined);
  let before: Promise<unknown> = Promise.resolve();
  return (command, parameters) => {
    const answer = before.then(async () => {
      socket.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`Expected an answer to ${command}, got the end`);
      const { return: result, error } = JSON.parse(value);
      if (error) throw new Error(`${command}: ${error.desc}`);
      return result;
    });
    before = answer.catch(() => undefined);
    return answer;
  };
}
