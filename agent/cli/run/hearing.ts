import type { AudioSource } from '../../audio/frame.ts';
import type { Hearing } from '../../audio/hearing.ts';
import { superviseMicrophone } from '../../audio/supervisor.ts';
import { type Label, labels, recognitionOf } from '../../classify/model-manifest.ts';
import { rulesOf } from '../../classify/rules.ts';
import { meterSocketPath } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import type { UsualLevel } from '../../events/health.ts';
import { openHeardLevels } from '../../events/heard-levels.ts';
import { openHourMeter } from '../../events/hour-meter.ts';
import { openLevelHistory } from '../../events/level-history.ts';
import { openThresholdCounts } from '../../events/threshold-counts.ts';
import { type Clock, trustedWallMs } from '../../lib/clock.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Notifier } from '../../lib/notify.ts';
import { openMeterSocket } from '../../meter/socket.ts';
import { openTap } from '../../meter/tap.ts';
import { openBootNote } from '../../outbox/boot-note.ts';
import { openHearingReport } from '../../outbox/hearing-report.ts';
import type { Outbox } from '../../outbox/outbox.ts';
import { openSummaryReport } from '../../outbox/summary-report.ts';
import { openThresholdReport } from '../../outbox/threshold-report.ts';
import { type ListenParts, listen } from '../../pipeline.ts';

interface HearingParts {
  open(): Promise<AudioSource>;
  readonly classifier: ListenParts['classifier'];
  readonly outbox: Outbox;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deafUntold?: (untold: boolean) => void;
}

/** The listener between its microphone and its outbox, until the signal aborts; closes the classifier. */
export async function hearStreet(
  config: Config,
  { open, classifier, outbox, notifier, clock, logger, deafUntold }: HearingParts,
  signal: AbortSignal,
): Promise<void> {
  const hourOfDay = () => {
    const wallMs = trustedWallMs(clock);
    return wallMs === undefined ? undefined : new Date(wallMs).getUTCHours();
  };
  const learnt = new Map<number, UsualLevel>();
  const levels = openLevelHistory(hourOfDay, (level) => learnt.set(level.hour, level));
  const { adapter, silenceTimeoutSeconds: silenceSeconds, splAtFullScaleDb } = config.microphone;
  const summaries = openSummaryReport(outbox, logger, clock.monotonicMs);
  const noteBoot = openBootNote(outbox, clock, logger);
  const hourMeter = openHourMeter(clock, { model: classifier.manifest, ...(splAtFullScaleDb === undefined ? {} : { splAtFullScaleDb }) }, summaries.add);
  const rules = rulesOf(classifier.manifest, config.model);
  const tap = openTap({ labels, rules, own: Object.keys(config.model.open) as Label[], levels, monotonicMs: clock.monotonicMs });
  const { operatingPoint } = config.model;
  const rulesAt = (threshold: number) => rulesOf(classifier.manifest, { operatingPoint, open: Object.fromEntries(labels.map((label) => [label, threshold])) });
  const counter = openThresholdCounts(labels, rulesAt, classifier.frameSeconds);
  const whileHeard = openHeardLevels(levels, hourMeter, counter);
  const of = { model: classifier.manifest, operatingPoint, recognition: recognitionOf(classifier.manifest) };
  const storeThresholds = openThresholdReport({ outbox, clock, logger }, of, counter);
  const watching = (on: boolean) => {
    tap.watched = on;
  };
  const meter = openMeterSocket(meterSocketPath(config), tap.read, watching, logger);
  const use = (source: AudioSource, stop: AbortSignal) =>
    listen(config, { source, classifier, outbox, clock, logger, level: whileHeard.level, hour: whileHeard.hour, tap, counter: whileHeard.counter }, stop);
  const record = openHearingReport({ outbox, clock, logger, levels, learnt, deafUntold }, classifier.manifest, config.health.intervalSeconds * 1000);
  let last: Readonly<Hearing> | undefined;
  const report = (hearing: Readonly<Hearing>) => {
    last = hearing;
    whileHeard.hearing(hearing.state, hearing.fault); // first: a suspicion ends with it
    notifier.ready();
    let hourEnded = false;
    const tellHour = () => {
      hourEnded = hourMeter.tick(hearing.listenedSeconds);
    };
    const writes = [tellHour, () => record(hearing, hourEnded), () => hourEnded && storeThresholds(), summaries.retry, noteBoot];
    for (const write of writes) {
      notifier.progress(); // at a full hour a slow card takes longer for all of them than the watchdog waits
      write();
    }
    tap.hearing(hearing);
    notifier.progress();
  };
  logger.info({ model: classifier.manifest.name, version: classifier.manifest.version }, 'starting to listen');
  try {
    await superviseMicrophone({ open, use, report, clock, logger, random: Math.random, silenceSeconds, once: adapter === 'file' }, signal);
  } finally {
    notifier.stopping();
    meter.close();
    if (last && last.state !== 'stopped') record(last, true); // ended by an error: what was heard until then still counts
    storeThresholds();
    hourMeter.close();
    await classifier.close();
  }
}
