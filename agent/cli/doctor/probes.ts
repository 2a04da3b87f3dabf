import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { accessSync, constants, type Stats, statfsSync, statSync } from 'node:fs';
import { connect as connectTcp, isIP, setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import { dirname } from 'node:path';
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from 'node:tls';
import { deviceTree } from '../../audio/identity.ts';
import { microphoneOpener } from '../../audio/microphone.ts';
import { countAtFullScale, flatStep } from '../../audio/signal-check.ts';
import { openOnnxClassifier } from '../../classify/onnx-classifier.ts';
import { loadConfig } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { type Credentials, readCredentials } from '../../config/secrets.ts';
import { type MqttProbe, openMqttProbe, tryWill } from '../../delivery/mqtt-probe.ts';
import { boardTemperature } from '../../lib/board.ts';
import type { Clock } from '../../lib/clock.ts';
import { hasCode } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { readRegularFile } from '../../lib/regular-file.ts';
import { inspectOutbox, type OutboxState } from '../../outbox/view-outbox.ts';
import type { Line as PrivacyLine } from '../privacy/check.ts';
import { findMachine } from '../privacy/machine.ts';
import { verifyRunning } from '../privacy/verify.ts';

/**
 * A stretch of sound, reduced to figures; the samples themselves are overwritten. Levels in dB below a full-scale sine.
 */
export interface SoundSample {
  readonly samples: number;
  /** Samples received for each that was due, counted from the first. */
  readonly rate: number;
  readonly levelDb: number;
  readonly peakDb: number;
  readonly zeros: boolean;
  readonly flat: boolean;
  readonly clippedShare: number;
  /** At which the hardware samples, where the kernel tells. */
  readonly hardwareRate: number | undefined;
}

/** What the broker's end of TLS showed. `refusal` is the code of what was wrong with it, nothing is sent over it. */
export interface Handshake {
  readonly protocol: string;
  readonly refusal?: string;
  readonly names: string;
  readonly validFrom: Date;
  readonly validTo: Date;
}

const addressMs = 1500; // for each address of a broker but the last: Node's own 250 ms are less than a handshake over a weak link

/** Everything the doctor asks the machine. Tests put a fault in place of one. */
export interface Probes {
  readonly configPath: string;
  readonly clock: Clock;
  /** The text of a file, or undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** Of the hottest part of the board, in degrees Celsius; nothing where none is told. */
  temperature(): number | undefined;
  readBytes(path: string): Buffer;
  /** `denied` where this user may not even look. */
  presence(path: string): 'there' | 'absent' | 'denied';
  /** Whether a folder's group may write a file in it. Both halves do so by that group where the setgid bit is set. */
  isShared(path: string): boolean;
  /** Of a folder; nothing where it is not there. */
  rightsOf(folder: string): Pick<Stats, 'uid' | 'gid' | 'mode'> | undefined;
  /** Throws as access(2) does. */
  writable(path: string): void;
  freeMegabytes(path: string): number;
  /** Runs a program; code 127 when it is not there. */
  command(name: string, args: readonly string[], signal: AbortSignal): Promise<{ code: number; stdout: string }>;
  loadConfig(): Config;
  listen(microphone: Config['microphone'], seconds: number, signal: AbortSignal): Promise<SoundSample>;
  /** CPU-bound cost of a second of sound, in ms. Throws a ModelError. */
  tryModel(folder: string): Promise<{ name: string; version: string; costMs: number }>;
  inspectOutbox(path: string): OutboxState;
  /** The lines of `privacy verify`, without those that read every installed file. */
  verifyPrivacy(): Promise<PrivacyLine[]>;
  credentials(mqtt: Config['mqtt']): Credentials;
  resolve(host: string): Promise<string>;
  reach(host: string, port: number, signal: AbortSignal): Promise<void>;
  handshake(host: string, port: number, credentials: Credentials, signal: AbortSignal): Promise<Handshake>;
  openLink(mqtt: Config['mqtt'], credentials: Credentials, clientId: string, timeoutMs: number): Promise<MqttProbe>;
  tryWill(mqtt: Config['mqtt'], credentials: Credentials, clientId: string, timeoutMs: number, will: { topic: string; payload: string }): Promise<void>;
}

/** The real machine. */
export function machineProbes(configPath: string, clock: Clock, tree = deviceTree): Probes {
  setDefaultAutoSelectFamilyAttemptTimeout(addressMs);
  return {
    configPath,
    clock,
    read: (path) => ifPossible(() => readRegularFile(path).toString('utf8')),
    readBytes: readRegularFile,
    presence(path) {
      try {
        statSync(path);
        return 'there';
      } catch (error) {
        return hasCode(error, /^ENOENT$/) ? 'absent' : 'denied';
      }
    },
    temperature: () => boardTemperature(),
    isShared(path) {
      const [file, folder] = [statSync(path), statSync(dirname(path))];
      return (folder.mode & 0o2000) === 0 || (file.gid === folder.gid && (file.mode & 0o060) === 0o060);
    },
    rightsOf: (folder) => statSync(folder, { throwIfNoEntry: false }),
    writable: (path) => accessSync(path, constants.W_OK),
    freeMegabytes(path) {
      const { bavail, bsize } = statfsSync(path);
      return Math.floor((bavail * bsize) / 1e6);
    },
    command: (name, args, signal) =>
      new Promise((resolve) => {
        const child = execFile(name, args, { signal, env: { ...process.env, LC_ALL: 'C' } }, (error, stdout) => {
          const code = error === null ? 0 : hasCode(error, /^ENOENT$/) ? 127 : Number(error.code) || 1;
          if (signal.aborted) child.kill('SIGKILL'); // execFile sends no other than SIGTERM, and does not wait
          resolve({ code, stdout });
        });
        child.unref(); // one that is blocked in a driver does not end, and must not keep this process from ending
      }),
    loadConfig: () => loadConfig(configPath),
    listen: (microphone, seconds, signal) => sampleSound(microphone, clock, tree, seconds, signal),
    async tryModel(folder) {
      const classifier = await openOnnxClassifier(folder);
      try {
        const { name, version } = classifier.manifest;
        const second = new Float32Array(classifier.sampleRate);
        await classifier.push(second);
        const began = performance.now();
        for (let i = 0; i < 4; i++) await classifier.push(second);
        return { name, version, costMs: (performance.now() - began) / 4 };
      } finally {
        await classifier.close();
      }
    },
    inspectOutbox,
    verifyPrivacy: async () => (await verifyRunning(() => findMachine({ configPath }), ['package'])).lines,
    credentials: readCredentials,
    resolve: async (host) => (await lookup(host)).address,
    reach: (host, port, signal) =>
      new Promise((resolve, reject) => {
        const socket = connectTcp({ host, port, signal }, () => {
          socket.destroy();
          resolve();
        }).on('error', reject);
      }),
    handshake: shakeHands,
    openLink: openMqttProbe,
    tryWill,
  };
}

/** Hears the microphone for a while from its first sample on, as the listener would, and keeps figures only. */
async function sampleSound(
  microphone: Config['microphone'],
  clock: Clock,
  tree: typeof deviceTree,
  seconds: number,
  signal: AbortSignal,
): Promise<SoundSample> {
  const source = await microphoneOpener({ ...microphone, silenceTimeoutSeconds: seconds + 1 }, clock, tree)();
  const enough = new AbortController();
  let [began, last, samples, counted, sum, squares, peak, clipped, low, high] = [0, 0, 0, 0, 0, 0, 0, 0, 1, -1];
  for await (const frame of source.frames(AbortSignal.any([signal, enough.signal]))) {
    last = clock.monotonicMs();
    if (began === 0) began = last;
    else counted += frame.samples.length;
    for (const sample of frame.samples) {
      sum += sample;
      squares += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
      low = Math.min(low, sample);
      high = Math.max(high, sample);
    }
    clipped += countAtFullScale(frame);
    samples += frame.samples.length;
    if (last - began >= seconds * 1000) enough.abort();
  }
  const total = Math.max(1, samples);
  const mean = sum / total;
  const decibels = (power: number) => Math.round(100 * Math.log10(2 * power + 1e-10)) / 10;
  return {
    samples,
    rate: last > began ? counted / source.sampleRate / ((last - began) / 1000) : 0,
    levelDb: decibels(squares / total - mean * mean),
    peakDb: decibels((peak * peak) / 2),
    zeros: peak === 0,
    flat: high - low <= flatStep,
    clippedShare: clipped / total,
    hardwareRate: source.hardwareRate,
  };
}

/**
 * Shakes hands and looks at the broker's certificate, whatever is wrong with it; nothing is sent over the connection.
 * With TLS
 * 1.3 a broker that dislikes our certificate says so only afterwards: half a second is given for that.
 */
function shakeHands(host: string, port: number, credentials: Credentials, signal: AbortSignal): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    const { ca, cert, key } = credentials;
    const files = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
    let refusal: string | undefined;
    const socket = connectTls({
      ...files,
      ...(isIP(host) ? {} : { servername: host }),
      host,
      port,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: false,
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    });
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      const certificate = socket.getPeerCertificate() as PeerCertificate;
      if (!socket.authorized) refusal = refusalOf(socket.authorizationError);
      const { subject, subjectaltname, valid_from, valid_to } = certificate;
      const names = subjectaltname?.replace(/(DNS|IP Address):/g, '') ?? String(subject?.CN ?? '?');
      const protocol = socket.getProtocol() ?? 'TLS'; // not known once it is destroyed
      setTimeout(() => {
        socket.destroy();
        const dates = { validFrom: new Date(valid_from), validTo: new Date(valid_to) };
        resolve({ protocol, names, ...dates, ...(refusal === undefined ? {} : { refusal }) });
      }, 500);
    });
  });
}

/** Node gives the code as the error itself or as its `code`. */
function refusalOf(error: Error | string | null | undefined): string {
  const code = (error as { code?: string } | null)?.code;
  return code ?? String(error ?? 'refused');
}
