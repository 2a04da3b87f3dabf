import type { Command } from 'commander';
import { labels } from '../classify/model-manifest.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { readLinkWords } from '../delivery/link.ts';
import { stampOfEvent } from '../delivery/stamp.ts';
import type { Clock } from '../lib/clock.ts';
import { openListenerProbe } from '../outbox/half-lock.ts';
import { lateMs, type OutboxState } from '../outbox/view-outbox.ts';
import { addCommand, configOption } from './command.ts';
import { lastTold, type Told } from './last-told.ts';
import { clockBeside, lookInto } from './outbox-view.ts';
import { type Field, print, printJson, type Screen, screenOf, showFields, wrap } from './output.ts';
import { readService, type Service } from './service.ts';
import { ageText, spanOf, utcTime } from './span.ts';
import type { Translate } from './translate.ts';
import { fixed } from './typography.ts';

interface Options {
  config: string;
  json?: true;
}

/** status and outbox: one screen each. They change nothing and create no file. */
export function addStatus(program: Command, t: Translate): void {
  addCommand(program, 'status', 'one screen: services, clock, what became of every event', ['sudo tocsin status', 'sudo tocsin status --json'])
    .addOption(configOption())
    .option(
      '--json',
      'one JSON object: site, sensor, outbox, pending, stored, sent, expired, refused, dropped, unreadable, listener, courier, broker, eventsRefused, eventRefusal, clockSynchronised, ownThresholds; hearing, fault, suspicion, listenedSeconds, elapsedSeconds, toldSecondsAgo once the listener ran in this boot',
    )
    .action((options: Options) => showStatus(options, t));
  addCommand(program, 'outbox', 'the file between listener and courier: size, what waits, what was lost', ['sudo tocsin outbox', 'sudo tocsin outbox --json'])
    .addOption(configOption())
    .option('--json', 'one JSON object: path, bytes, maxBytes, pending, oldest, oldestClock, stored, sent, expired, refused, dropped, unreadable')
    .action((options: Options) => showOutbox(options, t));
}

async function showStatus(options: Options, t: Translate): Promise<void> {
  const config = loadConfig(options.config);
  const [listener, courier] = await Promise.all([readService('tocsin-listener'), readService('tocsin-courier')]);
  const state = lookInto(config.outbox.path); // last: a listener that stops in order says so before it is gone
  const clock = clockBeside(state);
  const link = readLinkWords(courier.says);
  const { site, sensor, outbox } = config;
  if (options.json)
    return printJson({
      site,
      sensor,
      outbox: outbox.path,
      pending: state.pending,
      ...state.fates,
      listener: listener.state,
      courier: courier.state,
      broker: link?.state ?? 'unknown',
      eventsRefused: (link?.refusal ?? 'none') !== 'none',
      eventRefusal: link?.refusal ?? 'none',
      clockSynchronised: clock.synchronised(),
      ownThresholds: config.model.open,
      ...hearingJson(state, config, clock),
    });
  const fields = [
    { name: t('field.sensor'), value: `${sensor} @ ${site}` },
    serviceField('listener', listener, t),
    serviceField('courier', courier, t),
    ...brokerField(link, t),
    ...hearingField(state, config, listener, clock, t),
    clockField(clock, t),
    ...eventFields(state, config, clock, t),
    { name: t('field.calibration'), value: calibration(config, t) },
    { name: t('field.thresholds'), value: ownThresholds(config, t) },
  ];
  const screen = screenOf(process.stdout);
  print(`${showFields(fields, screen)}\n\n${verdict(fields, t, screen)}`);
}

function showOutbox(options: Options, t: Translate): void {
  const config = loadConfig(options.config);
  const { path, maxMegabytes } = config.outbox;
  const state = lookInto(path);
  const clock = clockBeside(state);
  if (options.json) {
    const { ms, quality } = (state.oldest && stampOfEvent(state.oldest, clock)) ?? {};
    const oldest = { oldest: ms === undefined ? null : new Date(ms).toISOString(), oldestClock: quality ?? null };
    printJson({ path, bytes: state.bytes, maxBytes: maxMegabytes * 1e6, pending: state.pending, ...oldest, ...state.fates });
    return;
  }
  const full = state.bytes > maxMegabytes * 0.5e6;
  const fields = [
    { name: t('field.file'), value: state.bytes === 0 ? t('file.new', { path }) : t('file.sound', { path }) },
    normal(t('field.size'), t('size.of', { size: fixed(state.bytes / 1e6, state.bytes < 1e6 ? 2 : 1), max: maxMegabytes }), !full, t('size.note')),
    ...eventFields(state, config, clock, t),
  ];
  const screen = screenOf(process.stdout);
  print(`${showFields(fields, screen)}\n\n${verdict(fields, t, screen)}`);
}

/** One line for who reads no other; the command that follows has a line of its own, not broken, to be copied. */
function verdict(fields: readonly Field[], t: Translate, { columns, colours }: Screen): string {
  const odd = fields.filter(({ state }) => state === 'warn').map(({ name }) => name);
  if (odd.length === 0) return colours.green(t('verdict.normal'));
  return colours.yellow(`${wrap(t('verdict.odd', { names: odd.join(', ') }), columns)}\n${t('verdict.next')}`);
}

function eventFields({ pending, oldest, fates }: OutboxState, config: Config, clock: Clock, t: Translate): Field[] {
  const age = oldest && stampOfEvent(oldest, clock);
  const { stored, sent, expired, refused, dropped, unreadable } = fates;
  const gone = expired + refused + dropped + unreadable;
  const waiting = pending === 0 || !age ? t('waiting.none') : t('waiting.some', { n: pending, age: t.of(ageText(age)) });
  const lost = gone === 0 ? t('lost.none') : t('lost.some', { expired, refused, dropped, unreadable });
  return [
    normal(t('field.waiting'), waiting, !age || age.ageMs < lateMs, t('waiting.note')),
    { name: t('field.sent'), value: t('sent.of', { sent, stored }) },
    normal(t('field.lost'), lost, gone === 0, t('lost.note', { rate: config.outbox.maxEventsPerMinute })),
  ];
}

function serviceField(half: 'listener' | 'courier', { state }: Service, t: Translate): Field {
  const name = t(`field.${half}`);
  if (state === 'unknown') return { name, value: t('service.unknown') };
  const runs = state === 'active';
  return normal(name, runs ? t('service.active') : t('service.down', { state }), runs, t('service.note', { unit: `tocsin-${half}` }));
}

/** How the running courier stands with the broker; nothing where systemd does not tell. */
function brokerField(link: ReturnType<typeof readLinkWords>, t: Translate): Field[] {
  if (!link) return [];
  const { state, refusal } = link;
  const what = refusal === 'none' ? t(`link.${state}`) : t(`refusal.${refusal}`);
  return [normal(t('field.broker'), what, state === 'connected' && refusal === 'none', t('link.note'))];
}

/** The listener's last report; undefined before it first ran in this boot. */
function toldIn(state: OutboxState, config: Config, clock: Clock): Told | undefined {
  return lastTold(state, config, clock, openListenerProbe(config.outbox.path)() === false);
}

function hearingJson(state: OutboxState, config: Config, clock: Clock): object {
  const told = toldIn(state, config, clock);
  if (!told) return {};
  const { fault, suspicion, listenedSeconds, elapsedSeconds, agoMs } = told;
  return {
    hearing: told.silent ? 'silent' : told.state,
    fault,
    suspicion,
    listenedSeconds: Math.round(listenedSeconds),
    elapsedSeconds: Math.round(elapsedSeconds),
    toldSecondsAgo: Math.round(agoMs / 1000),
  };
}

function hearingField(outbox: OutboxState, config: Config, { state: service }: Service, clock: Clock, t: Translate): Field[] {
  const told = toldIn(outbox, config, clock);
  const name = t('field.hearing');
  // it is active only once it hears or says why not: what it said has not reached this outbox
  if (!told) return service === 'active' ? [normal(name, t('hearing.untold'), false, t('hearing.note'))] : [];
  const { state, fault, suspicion, noiseFloorDb, elapsedSeconds, share, missed, agoMs, silent } = told;
  const floor = noiseFloorDb === undefined ? '' : `, ${t('hearing.floor', { level: Math.round(noiseFloorDb) })}`;
  const what = [
    silent
      ? t('hearing.silent', { age: spanOf(agoMs, t) })
      : t(`hearing.${state}`, { share: fixed(share, 1), span: spanOf(elapsedSeconds * 1000, t), age: spanOf(agoMs, t) }) + (state === 'listening' ? floor : ''),
    ...(fault === 'none' ? [] : [t(`fault.${fault}`)]),
    ...(suspicion === 'none' ? [] : [t(`suspicion.${suspicion}`)]),
  ];
  const hears = state === 'listening' && !silent && fault === 'none' && suspicion === 'none' && !missed;
  return [normal(name, t.clauses(what), hears, t('hearing.note'))];
}

function clockField(clock: Clock, t: Translate): Field {
  const time = utcTime(clock.wallMs(), 'minute');
  const good = clock.synchronised();
  return normal(t('field.clock'), good ? t('clock.good', { time }) : t('clock.bad', { time }), good, t('clock.note'));
}

/** Whose thresholds are in force. */
export function ownThresholds({ model }: Pick<Config, 'model'>, t: Translate): string {
  const own = labels.filter((label) => model.open[label] !== undefined);
  if (own.length === 0) return t('thresholds.ofModel', { point: model.operatingPoint });
  return t('thresholds.ofSite', { list: t.list(own.map((label) => `${t(`label.${label}`)} ${t.number(model.open[label] as number)}`)) });
}

function calibration({ microphone: { splAtFullScaleDb } }: Config, t: Translate): string {
  return splAtFullScaleDb === undefined ? t('calibration.none') : t('calibration.is', { spl: splAtFullScaleDb });
}

/** What is normal is said only where it is not. */
function normal(name: string, value: string, ok: boolean, note: string): Field {
  return ok ? { name, value, state: 'ok' } : { name, value, state: 'warn', note };
}
