import { type Label, labels } from '../classify/model-manifest.ts';
import { escapeHtml as h, pageInBothLanguages } from './html.ts';
import { plot } from './plot.ts';
import type { Score } from './scoring.ts';
import type { Translate } from './translate.ts';
import { type Fixed, fixed } from './typography.ts';

export interface Curve {
  readonly label: Label;
  readonly points: readonly { threshold: number; recall: number; precision: number; f1: number; falseAlarmsPerHour: number }[];
}
/** The colour of each label, wherever it is drawn: on white, a contrast of at least 4.5 (WCAG 2.1, 1.4.3). */
export const colours: Record<Label, string> = { glass_break: '#0b7285', shout: '#c2255c', bang: '#b35c00' };

interface Evaluated {
  readonly model: string;
  readonly operatingPoint: string;
  /** In force: the site's own where it has some. */
  readonly thresholds: Readonly<Record<Label, number>>;
  readonly scenes: number;
}

/**
 * One self-contained page, French first and then English: figures, then precision against recall and F1 against false
 * alarms, as SVG.
 */
export function evaluationPage(evaluated: Evaluated, score: Score, curves: readonly Curve[]): string {
  const title = `${evaluated.model}, ${evaluated.operatingPoint}`;
  return pageInBothLanguages(title, (t) => section(evaluated, score, curves, t), { style: ownStyle });
}

const ownStyle = `
table.scores{display:table;width:auto;table-layout:auto}.scores tr{display:table-row;border:0}.scores thead{display:table-header-group}.scores tbody{display:table-row-group}
.scores th:nth-child(n),.scores td{display:table-cell;width:auto;padding:.25rem 0 .25rem .9rem;text-align:right;vertical-align:baseline;border-top:1px solid #dee2e6}
.scores th:nth-child(1){text-align:left;padding-left:0}.scores thead :nth-child(n){border:0}.wide{overflow-x:auto;white-space:nowrap}p{overflow-wrap:anywhere}
.plots{display:flex;flex-wrap:wrap;gap:0 1.5rem}.plots svg{max-width:100%;height:auto}.plots h2{font-size:1rem}
.values th:nth-child(n),.values td{padding-left:.4rem}.values tr :nth-child(4n+2){padding-left:1rem}summary{cursor:pointer;margin-top:1rem}
@media print{details:not([open]){display:none}.values{font-size:10px}.plots{display:block}.plots>div{display:inline-block;width:49%;vertical-align:top}.scores th:nth-child(n){font-size:inherit}}
`;

const columns = ['label', 'threshold', 'reference', 'hits', 'falseAlarms', 'repeats', 'recall', 'precision', 'f1'] as const;

function section({ model, operatingPoint, thresholds, scenes }: Evaluated, score: Score, curves: readonly Curve[], t: Translate): string {
  const rows = labels.map((label) => {
    const { reference, hit, falseAlarm, repeat, recall, precision, f1 } = score.perLabel[label];
    const cells = [
      t.number(thresholds[label], 4),
      ...[reference, hit, falseAlarm, repeat].map(String),
      ...[recall, precision, f1].map((share) => t.number(share, 2)),
    ];
    return `<tr><th>${h(t(`label.${label}`))}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const most = mostAlarms(score, curves);
  const beyond = curves.some(({ points }) => points.some(({ falseAlarmsPerHour }) => falseAlarmsPerHour > most));
  const share = { from: 0, to: 1, decimals: 2 };
  const at = (threshold: number) => t('evaluation.plot.threshold', { threshold: fixed(threshold, 2) });
  const series = (points: (of: Curve) => [number, number, string][]) =>
    curves.map((of) => ({ name: t(`label.${of.label}`), colour: colours[of.label], dots: true, points: points(of) }));
  const size = { width: 515, height: 330, number: t.number };
  const precision = plot(
    { name: t('evaluation.recall'), ...share },
    { name: t('evaluation.precision'), ...share },
    series(({ points }) => points.filter(({ recall }) => recall > 0).map(({ recall, precision, threshold }) => [recall, precision, at(threshold)])),
    size,
  );
  const alarms = plot(
    { name: t('evaluation.perHour'), from: 0, to: most },
    { name: t('evaluation.f1'), ...share },
    series(({ points }) =>
      points
        .filter(({ falseAlarmsPerHour }) => falseAlarmsPerHour <= most)
        .map(({ falseAlarmsPerHour, f1, threshold }) => [falseAlarmsPerHour, f1, at(threshold)]),
    ),
    size,
  );
  const bySnr = Object.entries(score.recallBySnr)
    .toSorted(([a], [b]) => Number(a) - Number(b)) // an object has those under the background last
    .map(([snr, recall]) => t('evaluation.atSnr', { snr: Number(snr), recall: fixed(recall, 2) }));
  const causes = Object.entries(score.falseAlarmCauses)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, n]) => `${causeName(name, t)} ${n}`);
  const { falseAlarmsPerHour, falseAlarmsPerHourQuiet, hours, quietHours, latencySeconds } = score;
  const overall = { all: fixed(falseAlarmsPerHour, 1), hours: hoursShown(hours) };
  const figures = [
    ...absentLabels(score, t),
    falseAlarmsPerHourQuiet === undefined
      ? t('evaluation.alarms.busy', overall)
      : t('evaluation.alarms', { ...overall, quiet: fixed(falseAlarmsPerHourQuiet, 1), quietHours: hoursShown(quietHours) }),
    ...(latencySeconds ? [t('evaluation.latency', { median: Math.round(latencySeconds.median * 1000), p95: Math.round(latencySeconds.p95 * 1000) })] : []),
    ...(bySnr.length > 0 ? [t('evaluation.bySnr', { list: t.list(bySnr) })] : []),
    t('evaluation.causes', { list: causes.length > 0 ? t.list(causes) : t('evaluation.causes.none') }),
  ];
  return `<section lang="${t.language}" id="${t.language}">
<h1>${h(t('evaluation.title'))}</h1>
<p>${h(t('evaluation.of', { model, point: operatingPoint, scenes }))}</p>
<p class="verdict">${h(t('evaluation.macro', { f1: fixed(score.macroF1, 3) }))} <small>${h(t('evaluation.macro.is'))}</small></p>
<div class="wide"><table class="scores"><thead><tr>${columns.map((name) => `<th>${h(t(`evaluation.${name}`))}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>
${figures.map((figure) => `<p>${h(figure)}</p>`).join('\n')}
<div class="plots"><div><h2>${h(t('evaluation.plot.precision'))}</h2>${precision}</div>
<div><h2>${h(t('evaluation.plot.alarms'))}</h2>${alarms}${beyond ? `<p><small>${h(t('evaluation.plot.beyond', { most }))}</small></p>` : ''}</div></div>
${valueTable(curves, t)}
</section>`;
}

const measures = ['recall', 'precision', 'f1', 'falseAlarms'] as const;

/** The points of the plots in figures: for those who use no mouse, or read a print. Printed where it was opened. */
function valueTable(curves: readonly Curve[], t: Translate): string {
  const heads = curves.map(({ label }) => `<th colspan="${measures.length}" scope="colgroup">${h(t(`label.${label}`))}</th>`);
  const names = curves.flatMap(() =>
    measures.map((name) => `<th scope="col">${h(t(name === 'falseAlarms' ? 'evaluation.hourly' : `evaluation.${name}`))}</th>`),
  );
  const rows = (curves[0]?.points ?? []).map(({ threshold }, i) => {
    const cells = curves.flatMap(({ points }) => {
      const { recall = 0, precision = 0, f1 = 0, falseAlarmsPerHour = 0 } = points[i] ?? {};
      return [...[recall, precision, f1].map((share) => t.number(share, 2)), t.number(falseAlarmsPerHour, 1)];
    });
    return `<tr><th scope="row">${t.number(threshold, 2)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<details><summary>${h(t('evaluation.values'))}</summary>
<div class="wide"><table class="scores values"><thead><tr><td></td>${heads.join('')}</tr><tr><th scope="col">${h(t('evaluation.threshold'))}</th>${names.join('')}</tr></thead>
<tbody>${rows.join('')}</tbody></table></div></details>`;
}

/** Two decimals, and two digits where that would be next to nothing: a rate over 0.00 h is none. */
function hoursShown(hours: number): Fixed {
  return fixed(hours, hours > 0 && hours < 0.1 ? 1 - Math.floor(Math.log10(hours)) : 2);
}

/** What the scenes do not hold, for the macro counts it as if it had been missed. */
export function absentLabels({ perLabel }: Score, t: Translate): string[] {
  const absent = labels.filter((label) => perLabel[label].reference === 0).map((label) => t(`label.${label}`));
  return absent.length > 0 ? [t('evaluation.absent', { list: t.list(absent) })] : [];
}

/**
 * The end of the axis: twice the cost of any label's best threshold, or of the one in force. The lowest thresholds cost
 * ten times as much and would fill it. Of equally good thresholds the highest counts: else a label that the scenes do
 * not hold would bring in its lowest.
 */
function mostAlarms({ perLabel, hours }: Score, curves: readonly Curve[]): number {
  const best = curves.map(({ points }) => points.reduce((a, b) => (b.f1 >= a.f1 ? b : a)).falseAlarmsPerHour);
  const inForce = labels.map((label) => (hours > 0 ? perLabel[label].falseAlarm / hours : 0));
  return 20 * Math.ceil(Math.max(10, 2 * Math.max(...best, ...inForce)) / 20);
}

/** What an alarm was: the name that the scenes give a confuser stays as it is. */
function causeName(name: string, t: Translate): string {
  if (name === 'background') return t('evaluation.background');
  return labels.includes(name as Label) ? t(`label.${name as Label}`) : name;
}
