import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { microphoneOpener } from '../audio/microphone.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { loadConfig, loadOutboxPart } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { readCredentials } from '../config/secrets.ts';
import { closedPublisher } from '../delivery/closed-publisher.ts';
import { openHealthReport } from '../delivery/health.ts';
import { openLink } from '../delivery/link.ts';
import { mqttPublisher } from '../delivery/mqtt-publisher.ts';
import { openPrivacyReport } from '../delivery/privacy-report.ts';
import type { Report } from '../delivery/publisher.ts';
import { openSummaries } from '../delivery/summaries.ts';
import { clientIdOf, topicsOf } from '../delivery/topics.ts';
import { waryPublisher } from '../delivery/wary-publisher.ts';
import { isPublishable } from '../events/published.ts';
import { readBoard } from '../lib/board.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { ModelError, messageOf, OutboxError, TocsinError } from '../lib/errors.ts';
import { type Logger, openLogger } from '../lib/logger.ts';
import { collectEarly } from '../lib/memory.ts';
import { openNotifier } from '../lib/notify.ts';
import { sleep } from '../lib/sleep.ts';
import { openBootNote } from '../outbox/boot-note.ts';
import { type Half, holdHalfLock, openListenerProbe } from '../outbox/half-lock.ts';
import { takeBackStop } from '../outbox/hearing-report.ts';
import type { Outbox } from '../outbox/outbox.ts';
import { openPatientOutbox } from '../outbox/patient-outbox.ts';
import { isDamage } from '../outbox/sqlite.ts';
import { type OutboxUse, openSqliteOutbox } from '../outbox/sqlite-outbox.ts';
import { deliver } from '../pipeline.ts';
import { addCommand, configOption, version } from './command.ts';
import { privacyFacts } from './privacy/manifest.ts';
import { readVerification } from './privacy/record.ts';
import { hearStreet } from './run/hearing.ts';

const lockRetryMs = 1000; // less than the courier waits before it holds a listener for dead

/** run, listen and deliver: the agent itself. */
export function addRun(program: Command, signal: AbortSignal): void {
  addCommand(program, 'run', 'run listener and courier as two processes, for development and trials', ['tocsin run --config tocsin.yaml'])
    .addOption(configOption())
    .action(({ config }: { config: string }) => runBoth(config, signal));
  addCommand(program, 'listen', 'hear the microphone and store events; never opens a network connection', ['tocsin listen --config /etc/tocsin/tocsin.yaml'])
    .addOption(configOption())
    .action(({ config }: { config: string }) => runListener(config, signal));
  addCommand(program, 'deliver', 'publish stored events over MQTT; never opens a sound device', ['tocsin deliver --config /etc/tocsin/tocsin.yaml'])
    .addOption(configOption())
    .action(({ config }: { config: string }) => runCourier(config, signal));
}

async function runListener(path: string, signal: AbortSignal): Promise<void> {
  collectEarly();
  const clock = systemClock();
  const config = loadListenersConfig(path, clock);
  const logger = openLogger('listener', config.log.level);
  const notifier = await openNotifier(process.env, clock.monotonicMs);
  const release = holdLock(config.outbox.path, 'listener', logger); // first: another's outbox is not opened, let alone repaired
  const outbox = openOutbox(config, logger, { reserve: true, progress: notifier.progress });
  try {
    takeBackStop({ outbox, clock });
    const classifier = await openOnnxClassifier(config.model.path);
    const open = microphoneOpener(config.microphone, clock);
    await hearStreet(config, { open, classifier, outbox, notifier, clock, logger }, signal);
  } finally {
    outbox.close();
    release();
  }
}

/** Of a listener whose configuration is refused the courier learns from the outbox, if that part is right. */
function loadListenersConfig(path: string, clock: Clock): Config {
  try {
    return loadConfig(path);
  } catch (error) {
    const part = loadOutboxPart(path);
    if (part && existsSync(part.path))
      try {
        const outbox = openSqliteOutbox(part.path, part);
        takeBackStop({ outbox, clock });
        outbox.close();
      } catch {
        // the configuration is what is told here
      }
    throw error;
  }
}

/**
 * Throws an OutboxError where another process is this half; a lock that cannot be had otherwise is no reason not to hear or to deliver, and is
 * tried for again: once the disk takes it, the courier would hold a listener without one for dead.
 */
function holdLock(path: string, half: Half, logger: Logger): () => void {
  try {
    return holdHalfLock(path, half);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'SQLITE_BUSY') throw half === 'listener' ? secondListener(path) : secondCourier(path);
    logger.warn({ reason: messageOf(error) }, `nothing keeps a second ${half} from this outbox, nor tells at once that this one has died`);
  }
  let release = () => {};
  const timer = setInterval(() => {
    try {
      release = holdHalfLock(path, half, 0); // to wait is to hear nothing
      clearInterval(timer);
      logger.info({}, 'the lock is held');
    } catch {
      // said above
    }
  }, lockRetryMs).unref();
  return () => {
    clearInterval(timer);
    release();
  };
}

function secondListener(path: string): OutboxError {
  return new OutboxError(
    `Expected to be the only listener of ${path}, got another that runs`,
    'sudo systemctl stop tocsin-listener, or end the other one; tocsin status shows it',
  );
}

function secondCourier(path: string): OutboxError {
  return new OutboxError(
    `Expected to be the only courier of ${path}, got another that runs`,
    'sudo systemctl stop tocsin-courier, or end the other one; tocsin status shows it',
  );
}

async function runCourier(path: string, signal: AbortSignal): Promise<void> {
  collectEarly();
  const config = loadConfig(path);
  const logger = openLogger('courier', config.log.level);
  const { site, sensor, mqtt } = config;
  const credentials = readCredentials(mqtt);
  const release = holdLock(config.outbox.path, 'courier', logger); // two would take the session at the broker from each other for ever
  const listenerRuns = openListenerProbe(config.outbox.path);
  const clock = systemClock();
  const notifier = await openNotifier(process.env, clock.monotonicMs);
  const outbox = openOutbox(config, logger, { listenerRuns, progress: notifier.progress });
  const topics = topicsOf(site, sensor);
  const gated = closedPublisher(mqttPublisher(mqtt, credentials, clientIdOf(config)), isPublishable(topics));
  const openPublisher = waryPublisher(gated, { clock, logger });
  const board = () => readBoard(dirname(config.outbox.path));
  const link = openLink(notifier.status);
  const health = openHealthReport(topics.health, version, config.health.intervalSeconds * 1000, { outbox, clock, logger, board, link, listenerRuns });
  const verification = () => readVerification(config.privacy.recordPath);
  const privacy = () => openPrivacyReport(topics.privacy, privacyFacts(config), { clock, logger, verification });
  const noteBoot = { tick: openBootNote(outbox, clock, logger) }; // first: what the others say of the time may hang on it
  const reports = [noteBoot, health, openSummaries(topics.summary, { outbox, clock, logger }), ...withModel(privacy, logger)];
  const parts = { outbox, openPublisher, clock, logger, random: Math.random, reports, link, progress: notifier.progress };
  const { maxInFlight, historicalAfterSeconds } = mqtt;
  try {
    notifier.ready(); // without waiting for a broker: the service is up when it can deliver
    const maxAgeMs = config.outbox.maxAgeDays * 86_400_000;
    await deliver({ site, sensor, version, maxInFlight, historicalAfterSeconds, maxAgeMs, acknowledgeWithinMs: 10_000 }, parts, signal);
  } finally {
    notifier.stopping();
    outbox.close();
    release();
  }
}

/** A report that takes the model's manifest, or none: a model that the listener cannot use keeps nothing that was stored, and no health, from being sent. */
function withModel(open: () => Report, logger: Logger): Report[] {
  try {
    return [open()];
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    logger.error({ reason: error.message, hint: error.tryHint }, 'what this sensor may publish is not told: its model cannot be read');
    return [];
  }
}

/** The outbox as the two halves use it: repaired when damaged, and no reason to die when it cannot be written. */
function openOutbox({ outbox }: Config, logger: Logger, use: OutboxUse): Outbox {
  return openPatientOutbox({ path: outbox.path, open: () => openSqliteOutbox(outbox.path, outbox, { repair: true, ...use }), isDamage, logger });
}

/** How a half ended: one that was stopped before it could listen to signals did so in order. */
interface End {
  readonly code: number;
  readonly how: number | NodeJS.Signals;
}

/** Two children under one parent. When one ends by itself, the other is stopped, and the exit code of the first is passed on. */
async function runBoth(path: string, stopped: AbortSignal): Promise<void> {
  const terminal = new AbortController();
  process.once('SIGHUP', () => terminal.abort()); // the halves do not see it go
  const signal = AbortSignal.any([stopped, terminal.signal]);
  const config = loadConfig(path);
  const main = fileURLToPath(new URL('../main.ts', import.meta.url));
  const start = (half: string) => spawn(process.execPath, [main, half, '--config', path], { stdio: ['ignore', 'inherit', 'inherit'] });
  const courier = start('deliver');
  const listener = start('listen');
  const endOf = (child: ChildProcess) =>
    new Promise<End>((resolve) => child.once('close', (code, killed) => resolve({ code: code ?? (killed === 'SIGTERM' ? 0 : 1), how: killed ?? code ?? 1 })));
  const ended = [courier, listener].map(endOf);
  const stopBoth = () => [listener, courier].map((child) => child.kill('SIGTERM'));
  signal.addEventListener('abort', stopBoth, { once: true });
  const first = await Promise.race(ended);
  try {
    if (first.code === 0 && config.microphone.adapter === 'file' && !signal.aborted) await drained(path, signal);
  } finally {
    stopBoth(); // also where the outbox cannot be opened
  }
  const bad = [first, ...(await Promise.all(ended))].find(({ code }) => code !== 0);
  if (bad && !signal.aborted) throw new TocsinError(`Expected both processes to run, got exit ${bad.how} from one`, 'read the line above', bad.code);
}

/** After a file has been played: waits until the courier has nothing more to send, at most fifteen seconds. */
async function drained(path: string, signal: AbortSignal): Promise<void> {
  const config = loadConfig(path);
  const outbox = openSqliteOutbox(config.outbox.path, config.outbox);
  try {
    for (let i = 0; i < 150 && outbox.pendingCount() > 0 && !signal.aborted; i++) await sleep(100, signal);
  } finally {
    outbox.close();
  }
}
