import { type Command, InvalidArgumentError } from 'commander';
import { type Label, labels, loadModel, type ModelManifest, recognitionOf } from '../classify/model-manifest.ts';
import { rulesOf } from '../classify/rules.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { writeSettings } from '../config/write-setting.ts';
import { countedThresholds } from '../events/threshold-counts.ts';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import { keptDays, type ListeningDay } from '../outbox/threshold-rows.ts';
import { addCommand, configOption, refuseOthers } from './command.ts';
import { wholeNumber } from './number-option.ts';
import { isThere, withView } from './outbox-view.ts';
import { print, printJson, screenOf, showFields, wrap } from './output.ts';
import { addedWhereAllAreRaised, type Choice, type Counted, chooseThresholds, neededDays, toRaise, weekDays, weeklyBound } from './thresholds/choice.ts';
import { plotRows } from './thresholds/plot.ts';
import type { Translate } from './translate.ts';
import { fixed } from './typography.ts';

interface Options {
  config: string;
  budget: number;
  days?: number;
  write?: true;
  json?: true;
}

const daySeconds = 86_400;
const mostPerDay = 86_400; // outbox.maxEventsPerMinute is 60 at most
const usualDays = 14;
const fewestDays = 3; // whatever the budget: one day is not like the next

/** calibrate thresholds: from what was counted at this site to thresholds for a budget of events a week. */
export function addThresholds(calibrate: Command, t: Translate): void {
  addCommand(calibrate, 'thresholds', 'thresholds for a budget of events a week, from what this sensor has counted', [
    'sudo tocsin calibrate thresholds --budget 2/week',
    'sudo tocsin calibrate thresholds --budget 1/day --write',
  ])
    .addOption(configOption())
    .requiredOption('--budget <count/span>', 'events of all labels together: 2/week, 1/day, 5/month', perWeek)
    .option('--days <count>', 'use the last days of listening: 14 by default, more where the budget needs them', wholeNumber(1, keptDays))
    .option('--write', 'store the thresholds in the configuration file')
    .option('--json', 'one JSON object: days, budgetPerWeek, boundPerWeek, events, labels with their curves, stored')
    .action((_: unknown, command: Command) => {
      refuseOthers(command, t, ['dryRun']); // it holds
      const { write, dryRun, ...options } = command.optsWithGlobals<Options & { dryRun?: true }>();
      thresholds(write && !dryRun ? { ...options, write } : options, t);
    });
}

/** What was counted here, and what follows for the budget. */
interface Proposal {
  readonly manifest: ModelManifest;
  readonly config: Config;
  readonly days: readonly ListeningDay[];
  /** Days of sound that was heard. */
  readonly span: number;
  readonly counted: readonly Counted[];
  readonly choice: Choice;
  readonly labels: Record<Label, { now: number; own: boolean; eventsNow: number; proposed: number; events: number }>;
}

function thresholds(options: Options, t: Translate): void {
  const proposal = propose(options, t);
  const isStored = options.write === true && store(options, proposal);
  if (options.json) printJson(asJson(options, proposal, isStored));
  else show(options, proposal, isStored, t);
}

function propose(options: Options, t: Translate): Proposal {
  const config = loadConfig(options.config);
  const { operatingPoint, open: own } = config.model;
  const { manifest } = loadModel(config.model.path);
  const needed = Math.max(fewestDays, neededDays(options.budget));
  const wanted = options.days ?? Math.max(usualDays, neededDays(options.budget, labels.length - 1));
  const days = listened(config.outbox.path, wanted, (day) => sameRecognition(day, manifest, operatingPoint));
  const span = days.reduce((sum, day) => sum + day.seconds, 0) / daySeconds;
  const budget = brief(options.budget);
  const fail = (message: string, hint: string) => new TocsinError(message, hint, exitCodes.check);
  if (span < needed) throw fail(t('thresholds.few', { ...shortOf(span, needed), budget }), hintFor({ span, needed, wanted, added: 0 }, t));
  const point = manifest.operatingPoints[operatingPoint].labels;
  const counted = labels.map((label): Counted => ({ label, events: sumsOf(days, label), floor: stepOf(point[label].open) }));
  const choice = chooseThresholds(counted, span, options.budget);
  if (!choice) {
    const added = addedWhereAllAreRaised(counted);
    const more = neededDays(options.budget, added);
    if (span >= more) throw fail(t('thresholds.none', { budget }), t('thresholds.none.try'));
    const raised = t.list(toRaise(counted).map(({ label }) => t(`label.${label}`)));
    throw fail(t('thresholds.few.raised', { ...shortOf(span, more), budget, raised }), hintFor({ span, needed: more, wanted, added }, t));
  }
  const rules = rulesOf(manifest, config.model);
  const of = ({ label, events }: Counted) => {
    const step = choice.steps.get(label) as number;
    const now = rules[label].open;
    return { now, own: label in own, eventsNow: events[stepOf(now)] ?? 0, proposed: thresholdOf(step, point[label].open), events: events[step] ?? 0 };
  };
  const told = Object.fromEntries(counted.map((one) => [one.label, of(one)])) as Proposal['labels'];
  return { manifest, config, days, span, counted, choice, labels: told };
}

/** What is needed is rounded up, and what there is down: 22.0 of 22.0 would be no fewer. */
function shortOf(span: number, needed: number) {
  return { days: fixed(Math.floor(span * 10) / 10, 1), needed: fixed(Math.ceil(needed * 10) / 10, 1) };
}

/** What helps where `span` days are fewer than are `needed`. */
function hintFor({ span, needed, wanted, added }: Record<'span' | 'needed' | 'wanted' | 'added', number>, t: Translate): string {
  const boundOf = (days: number) => briefBound(weeklyBound(added, days));
  if (needed > keptDays) return t('thresholds.kept', { days: keptDays, bound: boundOf(keptDays) });
  if (span === 0) return t('thresholds.wait');
  const bound = boundOf(span);
  return wanted < needed ? t('thresholds.less', { bound }) : t('thresholds.few.try', { bound });
}

/** Whether there was anything to change: else the file stays untouched, or `privacy verify` would ask for a restart. */
function store(options: Options, { span, labels: of }: Proposal): boolean {
  const comment = `tocsin calibrate thresholds, ${brief(options.budget)} a week, ${span.toFixed(1)} days, ${new Date().toISOString().slice(0, 10)}`;
  const changed = labels.filter((label) => of[label].proposed !== of[label].now);
  if (changed.length === 0) return false;
  writeSettings(
    options.config,
    changed.map((label) => ({ keys: ['model', 'open', label], value: of[label].proposed, comment })),
  );
  return true;
}

function asJson(options: Options, { manifest, config, days, span, counted, choice, labels: of }: Proposal, stored: boolean): object {
  const curve = (events: readonly number[]) => countedThresholds.map((threshold, step) => ({ threshold, events: events[step] ?? 0 }));
  return {
    days: span,
    ...utcRange(days),
    model: { name: manifest.name, version: manifest.version },
    operatingPoint: config.model.operatingPoint,
    budgetPerWeek: options.budget,
    boundPerWeek: weeklyBound(choice.events + choice.added, span),
    events: choice.events,
    allowedEvents: choice.allowed,
    labels: Object.fromEntries(counted.map(({ label, events }) => [label, { ...of[label], curve: curve(events) }])),
    stored,
  };
}

function show(options: Options, { manifest, config, days, span, counted, choice, labels: of }: Proposal, isStored: boolean, t: Translate): void {
  const screen = screenOf(process.stdout);
  const line = (text: string) => print(wrap(text, screen.columns));
  const listenedDays = fixed(span, 1);
  const { from, to } = utcRange(days);
  const model = `${manifest.name} ${manifest.version}, ${config.model.operatingPoint}`;
  const basis = [
    { name: t('thresholds.based'), value: t.clauses([`${t('thresholds.days', { days: listenedDays })}${from && to ? `, ${from} - ${to}` : ''}`, model]) },
    { name: t('thresholds.bound'), value: t('thresholds.bound.is', { days: listenedDays, bound: briefBound(weeklyBound(0, span)) }) },
    ...(span < weekDays ? [{ name: '', value: t('thresholds.short'), state: 'warn' as const }] : []),
  ];
  const outcome = counted.map(({ label }) => {
    const { now, own, eventsNow: was, proposed: after, events } = of[label];
    const before = `${t.number(now, 4)}${own ? ` ${t('thresholds.own')}` : ''}`;
    const value = after === now ? t('thresholds.same', { before, events }) : t('thresholds.change', { before, after: fixed(after, 4), events, was });
    return { name: t(`label.${label}`), value };
  });
  print(screen.colours.bold(t('thresholds.title', { budget: brief(options.budget) })));
  print(showFields(basis, screen));
  line(`\n${t('thresholds.plot', { days: listenedDays })}`);
  const names = labels.map((label) => t(`label.${label}`));
  const marks = { proposed: (label: Label) => choice.steps.get(label) as number, inForce: (label: Label) => stepOf(of[label].now) };
  for (const row of plotRows(counted, marks, names, screen.columns, t.number)) print(row);
  line(`${t('thresholds.legend')}\n`);
  print(showFields(outcome, screen));
  const week = brief((choice.events / span) * weekDays);
  line(t('thresholds.together', { events: choice.events, week, bound: briefBound(weeklyBound(choice.events + choice.added, span)) }));
  if (choice.added > 0) line(t('thresholds.added', { added: choice.added }));
  line(t('thresholds.real'));
  const isSame = labels.every((label) => of[label].proposed === of[label].now);
  line(isStored ? t('thresholds.stored', { path: options.config }) : t(isSame ? 'thresholds.unchanged' : 'thresholds.notStored'));
}

/** The counted threshold that is not above: its events are at least those of the threshold itself. */
function stepOf(open: number): number {
  return Math.max(
    0,
    countedThresholds.findLastIndex((threshold) => threshold <= open + 1e-6),
  );
}

/** The newest days of listening, until there are `wanted` of them, that `fits`. */
function listened(path: string, wanted: number, fits: (day: ListeningDay) => boolean): ListeningDay[] {
  const counted = isThere(path) ? withView(path, (view) => view.listeningDays()) : [];
  const days: ListeningDay[] = [];
  let seconds = 0;
  for (const day of counted.filter(fits)) {
    if (seconds >= wanted * daySeconds) break;
    days.push(day);
    seconds += day.seconds;
  }
  return days;
}

/** Counts of another model, of one changed under the same version, or of another operating point do not apply. */
function sameRecognition(day: ListeningDay, manifest: ModelManifest, operatingPoint: ListeningDay['operatingPoint']): boolean {
  const { model, recognition = recognitionOf(manifest) } = day;
  return model.name === manifest.name && model.version === manifest.version && recognition === recognitionOf(manifest) && day.operatingPoint === operatingPoint;
}

function sumsOf(days: readonly ListeningDay[], label: Label): number[] {
  const sums = countedThresholds.map(() => 0);
  for (const { counts } of days) for (const one of counts) if (one.label === label) sums[one.step] = (sums[one.step] ?? 0) + one.events;
  return sums;
}

/**
 * At the floor, the operating point's own threshold, which has at most the events counted there; otherwise the counted
 * one.
 */
function thresholdOf(step: number, pointOpen: number): number {
  const threshold = countedThresholds[step] as number;
  return step === stepOf(pointOpen) ? Math.max(threshold, pointOpen) : threshold;
}

/** By the dates alone: a clock that was set back meanwhile gave later days of listening earlier ones. */
function utcRange(days: readonly ListeningDay[]): { from?: string; to?: string } {
  const dates = days.flatMap(({ firstUtcDay, lastUtcDay }) => [firstUtcDay, lastUtcDay]).filter((utcDay) => utcDay !== undefined);
  const date = (utcDay: number) => new Date(utcDay * daySeconds * 1000).toISOString().slice(0, 10);
  return dates.length === 0 ? {} : { from: date(Math.min(...dates)), to: date(Math.max(...dates)) };
}

function perWeek(text: string): number {
  const [, count, span] = /^(\d+(?:\.\d+)?)\/(day|week|month)$/.exec(text) ?? [];
  const days = { day: 1, week: 7, month: 30 }[span as 'day'];
  if (!count || !days || Number(count) <= 0) throw new InvalidArgumentError('expected a count and a span such as 2/week, 1/day or 5/month');
  const eventsPerWeek = (Number(count) / days) * weekDays;
  if (eventsPerWeek > mostPerDay * weekDays) throw new InvalidArgumentError(`expected a budget of at most ${mostPerDay}/day`);
  return eventsPerWeek;
}

/** Two significant digits, and all before the decimal sign. */
function brief(value: number): number {
  return value < 10 ? Number(value.toPrecision(2)) : Math.round(value);
}

/** Up: what is below a bound is not always below one that was rounded down. */
function briefBound(bound: number): number {
  const shown = brief(bound);
  return shown >= bound ? shown : brief(shown + (bound < 10 ? 10 ** (Math.floor(Math.log10(bound)) - 1) : 1));
}
