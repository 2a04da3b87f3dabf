import type { Command } from 'commander';
import { type DetectionRule, type Label, labels, loadModel } from '../classify/model-manifest.ts';
import { rulesOf } from '../classify/rules.ts';
import { loadConfig } from '../config/load-config.ts';
import { problemsOf, show as shown } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { type Stamp, stampOfEvent } from '../delivery/stamp.ts';
import { type SoundEvent, soundEventSchema } from '../events/event.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { messageOf, OutboxError } from '../lib/errors.ts';
import { readNamedFile } from '../lib/regular-file.ts';
import { isUtf16 } from '../lib/utf16.ts';
import type { PendingEvent } from '../outbox/outbox.ts';
import { lateMs, unmade } from '../outbox/view-outbox.ts';
import { addCommand, configOption, refuseOthers } from './command.ts';
import { follow } from './events/follow.ts';
import { wholeNumber } from './number-option.ts';
import { clockBeside, isThere, openView, reading, withView } from './outbox-view.ts';
import { print, printJson, type Screen, screenOf, showFields, untilTaken, wrap } from './output.ts';
import { ageText, utcTime } from './span.ts';
import type { Translate } from './translate.ts';
import { fixed } from './typography.ts';

const together = 1000; // events read at once: a small board has no memory for months of them

interface Options {
  config: string;
  json?: true;
  limit: number;
  follow?: true;
}

/** events: what waits, what comes, and why one fired. Whoever reads it reads everything that could leave the sensor. */
export function addEvents(program: Command, signal: AbortSignal, t: Translate): void {
  const events = addCommand(program, 'events', 'events that wait for delivery', [
    'sudo tocsin events',
    'sudo tocsin events --limit 5 --json',
    'sudo tocsin events --follow',
    'sudo tocsin events explain 17',
  ])
    .addOption(configOption())
    .option('--json', 'one JSON object a line')
    .option('-n, --limit <count>', 'at most this many', wholeNumber(1, 1_000_000), 20)
    .option('-f, --follow', 'go on and show each event as it is stored')
    .action((options: Options) => list(options, signal, t));
  addCommand(events, 'explain', 'why an event fired: scores against thresholds, level, gate', [
    'sudo tocsin events explain 17',
    'tocsin events explain event.json',
  ])
    .argument('<id>', 'number of an event that waits, its id, or a file with a published event')
    .addOption(configOption())
    .option('--json', 'one JSON object: event, thresholds, model')
    .action((id: string, _options: Options, command: Command) => {
      refuseOthers(command, t);
      explain(id, command.optsWithGlobals<Options>(), t);
    });
}

async function list(options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const { path } = loadConfig(options.config).outbox;
  const view = isThere(path) ? openView(path) : undefined;
  const read = (after: number, limit: number) => reading(path, () => view?.pending(after, Math.min(limit, together)) ?? []);
  const look = () => ({ state: view?.state() ?? unmade, last: view?.lastSequence() ?? 0, first: read(0, options.limit) });
  const { state, last, first } = reading(path, () => view?.atOnce(look) ?? look());
  const clock = clockBeside(state);
  const screen = screenOf(process.stdout);
  const say = (line: string) => {
    if (!options.json) print(line);
  };
  const show = (event: PendingEvent) => (options.json ? printJson(event) : print(showEvent(event, clock, t)));
  const showNumber = (sequence: number) => (options.json ? printJson({ sequence }) : print(t('events.unseen', { sequence })));
  if (first.length > 0 || options.follow) say(screen.colours.dim(eventHead(t)));
  const isUnset = (event: PendingEvent) => stampOfEvent(event, clock).quality === 'unsynchronised';
  let [shown, newest, anyUnset] = [0, 0, options.follow === true && !clock.synchronised()];
  for (let page = first; page.length > 0 && !signal.aborted; page = read(newest, options.limit - shown).filter(({ sequence }) => sequence <= last)) {
    page.forEach(show);
    await untilTaken(signal);
    shown += page.length;
    newest = page.at(-1)?.sequence ?? newest;
    anyUnset ||= page.some(isUnset);
  }
  view?.close();
  if (anyUnset) say(t('events.unset'));
  const late = state.oldest !== undefined && stampOfEvent(state.oldest, clock).ageMs > lateMs;
  if (late) say(screen.colours.yellow(`\n${wrap(t('events.normal'), screen.columns)}`));
  // where fewer were shown than asked for, what is missing has been sent meanwhile
  if (shown === options.limit && shown < state.pending) say(t('events.more', { n: state.pending - shown, all: state.pending }));
  if (state.pending === 0) say(t('events.none', { sent: state.fates.sent }));
  if (!options.follow) return;
  say(t('events.follow'));
  await follow(path, Math.max(last, newest), { show, showNumber }, signal);
}

/** Columns of 60 in all: number, time, age, label, confidence, level above the background. */
function columnsOf(number: string, time: string, ago: string, what: string, sure: string, level: string): string {
  return `${number.padEnd(Math.max(6, number.length + 1))}${time.padEnd(16)}${ago.padEnd(10)}${what.padEnd(15)}${sure.padEnd(5)}${level}`.trimEnd();
}

function eventHead(t: Translate): string {
  const head = (name: 'number' | 'heard' | 'ago' | 'what' | 'sure' | 'level') => t(`events.head.${name}`);
  return columnsOf(head('number'), head('heard'), head('ago'), head('what'), head('sure'), head('level'));
}

function showEvent(event: PendingEvent, clock: Clock, t: Translate): string {
  const stamp = stampOfEvent(event, clock);
  const time = `${new Date(stamp.ms).toISOString().slice(5, 19).replace('T', ' ')}${stamp.quality === 'unsynchronised' ? '?' : ''}`;
  const age = t.of(ageText(stamp));
  const above = event.levelAboveBackgroundDb;
  const level = `${above < 0 ? '' : '+'}${t.measure(above, 'dB')}`;
  return columnsOf(`#${event.sequence}`, time, age, t(`label.${event.label}`), t.number(event.confidence, 2), level);
}

type Age = Pick<Stamp, 'ageMs' | 'ageKnown'>;

/** The parts of an event that explain it, from the outbox or from a published one. */
type Explained = Pick<PendingEvent, 'label' | 'confidence' | 'durationSeconds' | 'levelAboveBackgroundDb' | 'scores' | 'model' | 'sequence'> & {
  readonly soundPressureLevelDb?: number | undefined;
  readonly onsetWallMs: number;
  readonly clockRight: boolean;
};

/** A number alone, or behind the id of its outbox. */
const eventId = /^(?:([0-9a-f]{16})-)?(\d+)$/;

function explain(id: string, options: Options, t: Translate): void {
  const config = loadConfig(options.config);
  const [event, age] = eventId.test(id) ? waitingEvent(id, config, t) : published(id);
  const { manifest } = loadModel(config.model.path);
  const rules = rulesOf(manifest, config.model);
  if (options.json) {
    const thresholds = Object.fromEntries(
      labels.map((label) => [label, { open: rules[label].open, close: rules[label].close, own: label in config.model.open }]),
    );
    printJson({ event, thresholds, model: { name: manifest.name, version: manifest.version } });
    return;
  }
  const screen = screenOf(process.stdout);
  const rule = rules[event.label];
  const now = `${manifest.name} ${manifest.version}`;
  const { name, version } = event.model;
  const level = event.levelAboveBackgroundDb;
  const spl = event.soundPressureLevelDb;
  const fields = [
    { name: t('field.event'), value: `#${event.sequence} ${t(`label.${event.label}`)}, ${t.number(event.confidence, 3)}` },
    { name: t('field.heard'), value: heardWhen(event, age, t) },
    { name: t('field.level'), value: spl === undefined ? t('explain.level', { level }) : t('explain.spl', { level, spl: Math.round(spl) }) },
    {
      name: t('field.gate'),
      value: `${gate(event, rule, t)}${event.label in config.model.open ? `\n${t('explain.own')}` : ''}`,
    },
    { name: t('field.model'), value: now === `${name} ${version}` ? now : t('explain.otherModel', { name, version, now }) },
  ];
  print(showFields(fields, screen));
  for (const label of labels) print(scoreLine(label, event, rules[label].open, t, screen));
}

/**
 * How the gate of its label opened, and how it closes. An event is reported while the gate is open, so it does not say
 * when it closed.
 */
function gate(event: Explained, rule: DetectionRule, t: Translate): string {
  const ms = (seconds: number) => Math.round(seconds * 1000);
  const label = t(`label.${event.label}`);
  const opened = t('explain.opened', { label, open: fixed(rule.open, 4), smooth: ms(rule.smoothingSeconds), seconds: fixed(event.durationSeconds, 2) });
  const held = rule.minDurationSeconds > 0 ? [t('explain.held', { ms: ms(rule.minDurationSeconds) })] : [];
  return [opened, ...held, t('explain.closes', { close: fixed(rule.close, 4), merge: rule.mergeSeconds, open: fixed(rule.open, 4) })].join('\n');
}

/** A bar with the threshold marked on it. The score is the unsmoothed one at the event's peak. */
function scoreLine(label: Label, event: Explained, open: number, t: Translate, { columns, colours }: Screen): string {
  const width = Math.max(10, Math.min(30, columns - 42));
  const score = event.scores[label];
  const at = Math.min(width - 1, Math.floor(open * width));
  const bar = Array.from({ length: width }, (_, i) => (i === at ? '|' : i < Math.round(score * width) ? '#' : '.')).join('');
  const fired = label === event.label;
  const verdict = fired ? t('explain.fired') : score < open ? t('explain.under', { open: fixed(open, 4) }) : t('explain.over', { open: fixed(open, 4) });
  const line = `${t(`label.${label}`).padEnd(15)} ${bar} ${t.number(score, 3)} ${verdict}`;
  return fired ? colours.bold(line) : line;
}

function heardWhen(event: Explained, age: Age | undefined, t: Translate): string {
  const time = utcTime(event.onsetWallMs, 'second');
  const clock = t(event.clockRight ? 'explain.clock.good' : 'explain.clock.bad');
  return age ? t('explain.heard', { time, clock, age: t.of(ageText(age)) }) : t('explain.heardThen', { time, clock });
}

function waitingEvent(id: string, config: Config, t: Translate): [Explained, Age] {
  const [, outbox, number = 'none'] = eventId.exec(id) ?? [];
  const sequence = Number(number);
  const { path } = config.outbox;
  const looked = sequence > 0 && isThere(path) ? withView(path, (view) => ({ found: view.pending(sequence - 1, 1)[0], state: view.state() })) : undefined;
  const found = looked?.found;
  // a number counts in its own outbox: another sensor, or one before a repair, has the same
  if (!looked || found?.sequence !== sequence || (outbox ?? looked.state.id) !== looked.state.id)
    throw new OutboxError(t('explain.unknown', { id }), t('explain.unknown.try'));
  const stamp = stampOfEvent(found, clockBeside(looked.state));
  return [{ ...found, onsetWallMs: stamp.ms, clockRight: stamp.quality !== 'unsynchronised' }, stamp];
}

/** Its age is known where its clock was right, and not later than that of this machine. */
function published(path: string): [Explained, Age | undefined] {
  const read = readEvent(path);
  if (typeof read === 'string')
    throw new OutboxError(
      `Expected an event of Tocsin as JSON in ${path}, got: ${read}`,
      'save the payload as it was published; event.schema.json in /usr/share/doc/tocsin or docs describes it',
    );
  const { time, data } = read;
  const onsetWallMs = Date.parse(time);
  const clockRight = data.clock !== 'unsynchronised';
  const ageMs = systemClock().wallMs() - onsetWallMs;
  return [{ ...data, onsetWallMs, clockRight }, clockRight && ageMs >= 0 ? { ageMs, ageKnown: true } : undefined];
}

/** The event, or what first is wrong with the file. */
function readEvent(path: string): SoundEvent | string {
  let text: string;
  let value: unknown;
  try {
    const bytes = readNamedFile(path);
    if (isUtf16(bytes)) return '(file): expected text in UTF-8, got UTF-16';
    text = new TextDecoder().decode(bytes); // without a byte order mark
  } catch (error) {
    return messageOf(error);
  }
  try {
    value = JSON.parse(text);
  } catch {
    return `(file): expected JSON, got ${shown(text)}`;
  }
  const { success, data, error } = soundEventSchema.safeParse(value);
  return success ? data : (error.issues.flatMap((issue) => problemsOf(issue, value))[0] as string);
}
