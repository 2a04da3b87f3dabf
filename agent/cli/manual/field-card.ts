import { exitCodes } from '../../lib/errors.ts';
import type { CheckId } from '../doctor/check.ts';
import { escapeHtml } from '../html.ts';
import { type MessageKey, type Text, type Translate, text } from '../translate.ts';
import { fixed } from '../typography.ts';
import { type CommandShape, commandAt } from './command-tree.ts';

/** The way of a visit: a command, one of its examples, and when it is good. */
const steps: readonly [words: string, example: string, good: MessageKey][] = [
  ['provision', 'sudo tocsin provision > lamp-post-12.csr', 'card.good.provision'],
  ['doctor', 'sudo tocsin doctor', 'card.good.doctor'],
  ['meter', 'sudo tocsin meter', 'card.good.meter'],
  ['selftest', 'sudo tocsin selftest --ask --seconds 60', 'card.good.selftest'],
  ['calibrate', 'sudo tocsin calibrate', 'card.good.calibrate'],
  ['status', 'sudo tocsin status', 'card.good.status'],
  ['commission', 'sudo tocsin commission', 'card.good.commission'],
];

/** What the doctor finds most, with values as they may look. */
const findings: readonly [CheckId, Text][] = [
  ['power', text('doctor.power.now', { what: text('doctor.power.underVoltage'), code: '0x1' })],
  ['clock', text('doctor.clock.unset', { time: '1970-01-01 00:03 UTC' })],
  ['microphone', text('doctor.microphone.absent', { device: 'usb:1-1.3', reason: 'No such device' })],
  ['microphone', text('doctor.microphone.stalled', { device: 'usb:1-1.3' })],
  ['level', text('doctor.level.zeros')],
  ['level', text('doctor.level.quiet', { level: '-80' })],
  ['level', text('doctor.level.clipped', { percent: fixed(2, 1) })],
  ['disk', text('doctor.disk.readOnly', { folder: '/var/lib/tocsin', reason: 'EROFS' })],
  ['network', text('doctor.network.none')],
  ['port', text('doctor.port.silent', { host: 'broker', port: 8883, reason: '3 s' })],
  ['dates', text('doctor.dates.expired', { whose: text('doctor.dates.sensor'), date: '2026-11-01' })],
  ['broker', text('doctor.broker.login', { code: 135 })],
  ['acl', text('doctor.acl.refused', { topic: 'tocsin/v1/…', code: 135 })],
  ['services', text('doctor.services.down', { unit: 'tocsin-listener', state: 'failed', said: '' })],
];

const blanks = ['site', 'sensor', 'date', 'technician'] as const;
const mounting = ['card.mount.microphone', 'card.mount.power', 'card.mount.network'] as const;

/**
 * One A4 page for the ladder, self-contained, to print or to save as PDF. Throws when a command or example it names is
 * gone.
 */
export function fieldCard(root: CommandShape, version: string, t: Translate): string {
  const rows = steps.map(([words, example, good]) => {
    const { description, examples } = commandAt(root, words);
    if (!examples.includes(example)) throw new Error(`expected the example "${example}" of ${words}, got: ${examples.join('; ')}`);
    return `<li><code>${escapeHtml(example)}</code><br>${escapeHtml(sentence(description))} <b>${escapeHtml(t.of({ key: good, values: {} }))}</b></li>`;
  });
  const hints = findings.map(([check, found]) => {
    const hint = t.of({ key: `${found.key}.try` as MessageKey, values: found.values });
    return `<tr><th>${escapeHtml(t(`doctor.name.${check}`))}</th><td>${escapeHtml(t.of(found))}</td><td>${escapeHtml(hint)}</td></tr>`;
  });
  const { unread: _, ...ofPeople } = exitCodes; // `unread` is for scripts
  const codes = Object.entries(ofPeople).map(([name, code]) => `${code} ${t(`exit.${name as keyof typeof ofPeople}`)}`);
  return `<!doctype html>
<html lang="${t.language}">
<meta charset="utf-8">
<title>Tocsin ${escapeHtml(t('card.title'))}</title>
<style>
@page { size: A4; margin: 9mm 11mm }
body { font: 9.4pt/1.28 "DejaVu Sans", system-ui, sans-serif; margin: 0 auto; max-width: 188mm; color: #111 }
h1 { font-size: 18pt; margin: 0 } h1 small { font-size: 11pt; font-weight: normal }
h2 { font-size: 11pt; margin: 2.6mm 0 1mm; border-bottom: 1pt solid #111 }
.blanks { width: 100%; border-spacing: 0 } .blanks td { padding: 2mm 3mm 0 0; border-bottom: .6pt solid #666; width: 25%; height: 7mm; vertical-align: top; font-size: 8pt }
ul, ol { margin: 0; padding-left: 6mm } li { margin-bottom: .8mm }
code { font: bold 9.6pt "DejaVu Sans Mono", monospace; background: #eee; padding: .3mm 1mm }
.hints { width: 100%; border-collapse: collapse; font-size: 7.9pt; line-height: 1.2 } .hints th, .hints td { text-align: left; vertical-align: top; padding: .5mm 2mm .5mm 0; border-bottom: .4pt solid #bbb } .hints th { width: 21mm } .hints td:nth-child(2) { width: 72mm }
p { margin: 1mm 0 0 } .small { font-size: 7.9pt }
</style>
<h1>Tocsin <small>${escapeHtml(t('card.title'))}, ${escapeHtml(version)}</small></h1>
<table class="blanks"><tr>${blanks.map((blank) => `<td>${escapeHtml(t(`card.blank.${blank}`))}</td>`).join('')}</tr></table>
<h2>${escapeHtml(t('card.mount'))}</h2>
<ul>${mounting.map((key) => `<li>${escapeHtml(t(key))}</li>`).join('')}</ul>
<h2>${escapeHtml(t('card.check'))}</h2>
<ol>
${rows.join('\n')}
</ol>
<h2>${escapeHtml(t('card.trouble'))}</h2>
<table class="hints">
${hints.join('\n')}
</table>
<p class="small"><b>${escapeHtml(t('help.exitCodes'))}</b> 0 ${escapeHtml(t('exit.done'))}, ${escapeHtml(codes.join(', '))}. ${escapeHtml(t('card.more'))}</p>
<h2>${escapeHtml(t('card.asked'))}</h2>
<p>${escapeHtml(t('card.answer'))}</p>
</html>
`;
}

function sentence(description: string): string {
  return `${description.charAt(0).toUpperCase()}${description.slice(1)}.`;
}
