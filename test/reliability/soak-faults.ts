// The faults of the soak by name. `calm` ones leave both processes running, so that their memory can be measured over
// a long time.
import { type ChildProcess, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { MicrophoneFault } from '../../agent/lib/faults.ts';
import type { openFaultProxy } from '../support/faults.ts';

export type Half = 'listener' | 'courier';

interface SoakParts {
  readonly random: () => number;
  readonly proxy: Awaited<ReturnType<typeof openFaultProxy>>;
  readonly outbox: string;
  readonly config: string;
  /** Where to write until the disk is full, if the test can do that. */
  readonly fill?: string;
  child(half: Half): ChildProcess | undefined;
  restartBroker(pauseMs: number): Promise<void>;
  /** Runs `work` while neither process runs: both are killed. */
  whileDead(work: () => void): Promise<void>;
}

interface SoakFaults {
  readonly calm: Record<string, () => Promise<void>>;
  readonly deadly: Record<string, () => Promise<void>>;
}

const microphoneFaults = ['absent', 'busy', 'unplugged', 'stuck', 'zeros', 'flat', 'clipped'] satisfies MicrophoneFault[];
const pageBytes = 1024;
const day = 86_400;

export function soakFaults(parts: SoakParts): SoakFaults {
  const { random, proxy, outbox, config, fill, child } = parts;
  const link = (fault: 'frozen' | 'deaf' | 'slow') => async () => {
    proxy.set(fault);
    await delay(1000 + random() * 4000);
    proxy.set('none');
  };
  const paused = (half: Half) => async () => {
    const stopped = child(half);
    stopped?.kill('SIGSTOP');
    await delay(500 + random() * 2500);
    stopped?.kill('SIGCONT');
  };
  const tell = (line: string) => void child('listener')?.stdin?.write(`${line}\n`);
  const microphone = (fault: MicrophoneFault) => async () => {
    tell(`microphone ${fault}`);
    await delay(1500 + random() * 1500);
    tell('microphone none');
  };
  const damaged = (harm: () => void) => () => parts.whileDead(harm);
  const pages = () => Math.floor(statSync(outbox).size / pageBytes);
  return {
    calm: {
      'broker restarted': () => parts.restartBroker(random() * 3000),
      'link frozen': link('frozen'),
      'acknowledgements lost': link('deaf'),
      'link slow': link('slow'),
      async 'connections broken'() {
        for (let i = 0; i < 10; i++) {
          proxy.breakAll();
          await delay(50 + random() * 200);
        }
      },
      'listener stopped for a while': paused('listener'),
      'courier stopped for a while': paused('courier'),
      ...Object.fromEntries(microphoneFaults.map((fault) => [`microphone ${fault}`, microphone(fault)])),
      async 'clock jumps'() {
        tell(`clock ${(random() < 0.5 ? -30 : 30) * day}`);
        await delay(1000 + random() * 3000);
        tell('clock 0');
      },
      ...(fill === undefined
        ? {}
        : {
            async 'disk full'() {
              spawnSync('dd', ['if=/dev/zero', `of=${fill}`, 'bs=4k']);
              await delay(1000 + random() * 2000);
              rmSync(fill, { force: true });
            },
          }),
    },
    deadly: {
      'listener killed': async () => void child('listener')?.kill('SIGKILL'),
      'courier killed': async () => void child('courier')?.kill('SIGKILL'),
      async 'configuration damaged'() {
        const sound = readFileSync(config);
        writeFileSync(config, sound.subarray(0, Math.floor(random() * sound.length)));
        child('courier')?.kill('SIGKILL');
        await delay(3000);
        writeFileSync(config, sound);
      },
      'WAL gone': damaged(() => rmSync(`${outbox}-wal`, { force: true })),
      'WAL cut': damaged(() => void attempt(() => truncateSync(`${outbox}-wal`, Math.floor(random() * statSync(`${outbox}-wal`).size)))),
      'page of the outbox damaged': damaged(() => {
        const bytes = readFileSync(outbox);
        const at = pageBytes * Math.floor(random() * pages());
        for (let i = at; i < Math.min(bytes.length, at + pageBytes); i++) bytes[i] = Math.floor(random() * 256);
        writeFileSync(outbox, bytes);
      }),
      'outbox cut': damaged(() => truncateSync(outbox, Math.floor((0.3 + 0.7 * random()) * statSync(outbox).size))),
    },
  };
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // the file does not exist now
  }
}
