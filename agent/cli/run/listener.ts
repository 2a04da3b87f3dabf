import { existsSync } from 'node:fs';
import { microphoneOpener } from '../../audio/microphone.ts';
import { openOnnxClassifier } from '../../classify/onnx-classifier.ts';
import { loadConfig, loadOutboxPart } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { openLogger } from '../../lib/logger.ts';
import { openNotifier } from '../../lib/notify.ts';
import { requireTasks } from '../../lib/tasks.ts';
import { takeBackStop } from '../../outbox/hearing-report.ts';
import { openSqliteOutbox } from '../../outbox/sqlite-outbox.ts';
import { holdLock, openOutbox } from './half.ts';
import { hearStreet } from './hearing.ts';

const neededTasks = 14; // as measured: with fewer, Node or the model's runtime ends the process by SIGABRT

/**
 * The half that hears: from the microphone to the outbox, until the signal aborts. No module that it loads reaches a
 * network.
 */
export async function runListener(path: string, signal: AbortSignal): Promise<void> {
  const clock = systemClock();
  const config = loadListenersConfig(path, clock);
  const logger = openLogger('listener', config.log.level);
  const notifier = await openNotifier(process.env, clock.monotonicMs);
  const lock = holdLock(config.outbox.path, 'listener', logger); // first: another's outbox is not opened, let alone repaired
  const outbox = openOutbox(config, logger, { reserve: true, progress: notifier.progress });
  try {
    takeBackStop({ outbox, clock });
    requireTasks(neededTasks); // before the runtime of the model takes the most of them
    const classifier = await openOnnxClassifier(config.model.path);
    const open = microphoneOpener(config.microphone, clock);
    await hearStreet(config, { open, classifier, outbox, notifier, clock, logger, deafUntold: lock.rest }, signal);
  } finally {
    outbox.close();
    lock.release();
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
