import { dirname } from 'node:path';
import { loadManifest } from '../../classify/model-manifest.ts';
import { loadConfig } from '../../config/load-config.ts';
import { certificateEnd, openCredentials } from '../../config/secrets.ts';
import { Allowance, type KeptAllowance } from '../../delivery/allowance.ts';
import { closedPublisher } from '../../delivery/closed-publisher.ts';
import { openCourierNotes } from '../../delivery/courier-notes.ts';
import { deliver } from '../../delivery/deliver.ts';
import { openHealthReport } from '../../delivery/health.ts';
import { withKnownNames } from '../../delivery/known-names.ts';
import { limitedPublisher } from '../../delivery/limited-publisher.ts';
import { openLink } from '../../delivery/link.ts';
import { loadMqtt } from '../../delivery/mqtt-connection.ts';
import { mqttPublisher } from '../../delivery/mqtt-publisher.ts';
import { openPrivacyReport } from '../../delivery/privacy-report.ts';
import type { OpenPublisher, Report } from '../../delivery/publisher.ts';
import { openSummaries } from '../../delivery/summaries.ts';
import { clientIdOf, topicsOf } from '../../delivery/topics.ts';
import { waryPublisher } from '../../delivery/wary-publisher.ts';
import { closedForm } from '../../events/published.ts';
import { readBoard } from '../../lib/board.ts';
import { systemClock } from '../../lib/clock.ts';
import { messageOf, TocsinError, unreadableHint } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { type Logger, openLogger } from '../../lib/logger.ts';
import { collectEarly } from '../../lib/memory.ts';
import { openNotifier } from '../../lib/notify.ts';
import { openBootNote } from '../../outbox/boot-note.ts';
import { openListenerProbe } from '../../outbox/half-lock.ts';
import { version } from '../command.ts';
import { privacyFacts } from '../privacy/manifest.ts';
import { readVerification } from '../privacy/record.ts';
import { holdLock, openOutbox } from './half.ts';

/**
 * The half that speaks: from the outbox to the broker, until the signal aborts. It loads no module that opens a sound
 * device or a model.
 */
export async function runCourier(path: string, signal: AbortSignal): Promise<void> {
  collectEarly();
  const config = loadConfig(path);
  const logger = openLogger('courier', config.log.level);
  const { site, sensor, mqtt } = config;
  const credentials = openCredentials(mqtt);
  await loadMqtt();
  const lock = holdLock(config.outbox.path, 'courier', logger); // two would take the session at the broker from each other for ever
  const listenerRuns = openListenerProbe(config.outbox.path);
  const clock = systemClock();
  const notifier = await openNotifier(process.env, clock.monotonicMs);
  const stored = openOutbox(config, logger, { listenerRuns, progress: notifier.progress });
  const folder = process.env.STATE_DIRECTORY?.split(':')[0]; // by hand there is none
  const notes = openCourierNotes(folder, logger);
  const installed = () => loadManifest(loadConfig(path).model.path);
  // a name that is made up must be the same after a restart: an event that is sent again is else another one
  const outbox = folder === undefined ? stored : withKnownNames({ outbox: stored, notes, clock, logger, installed });
  const maxAgeMs = config.outbox.maxAgeDays * 86_400_000;
  const keep = (kept: KeptAllowance) => notes.change({ allowance: kept });
  const allowance = new Allowance(config.outbox.maxEventsPerMinute, maxAgeMs, { clock, logger, kept: notes.current.allowance, keep });
  const topics = topicsOf(site, sensor);
  let certificateUntil: string | undefined; // of the one that was last shown to the broker
  const gated: OpenPublisher = (...asked) => {
    const shown = credentials();
    certificateUntil = certificateEnd(shown);
    const closed = closedPublisher(mqttPublisher(mqtt, shown, clientIdOf(config)), closedForm(topics));
    return limitedPublisher(closed, allowance, new Set([topics.event, topics.gap, topics.summary]))(...asked);
  };
  const openPublisher = waryPublisher(gated, { clock, logger });
  const board = () => readBoard(dirname(config.outbox.path));
  const link = openLink(notifier.status);
  const newsPerMinute = config.outbox.maxEventsPerMinute / 10;
  const healthParts = { outbox, clock, logger, board, link: { read: () => ({ ...link.read(), certificateUntil }) }, listenerRuns, allowance, newsPerMinute };
  const health = openHealthReport(topics.health, version, config.health.intervalSeconds * 1000, healthParts);
  const verification = () => readVerification(config.privacy.recordPath);
  const privacy = () => openPrivacyReport(topics.privacy, privacyFacts(config), { clock, logger, verification });
  const noteTime = openBootNote(outbox, clock, logger);
  const noteBoot = () => {
    noteTime();
    ifPossible(() => allowance.tend(() => outbox.pendingCount())); // where the outbox cannot be read, later
  };
  const reports = [health, openSummaries(topics.summary, { outbox, clock, logger, allowance }), ...ifReadable(privacy, logger)];
  const parts = { outbox, openPublisher, clock, logger, random: Math.random, reports, link, noteBoot, progress: notifier.progress, allowance };
  const { maxInFlight, historicalAfterSeconds } = mqtt;
  try {
    notifier.ready(); // without waiting for a broker: the service is up when it can deliver
    await deliver({ site, sensor, version, maxInFlight, historicalAfterSeconds, maxAgeMs, acknowledgeWithinMs: 10_000 }, parts, signal);
  } finally {
    notifier.stopping();
    allowance.close();
    outbox.close();
    lock.release();
  }
}

/**
 * Opens a report that reads the model's manifest and the installation, or none: what cannot be read there must not keep
 * events and health from being sent.
 */
function ifReadable(open: () => Report, logger: Logger): Report[] {
  try {
    return [open()];
  } catch (error) {
    const hint = error instanceof TocsinError ? error.tryHint : unreadableHint;
    logger.error({ reason: messageOf(error), hint }, 'the privacy message is not published: what it tells of cannot be read');
    return [];
  }
}
