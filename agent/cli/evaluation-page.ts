import { type Label, labels } from '../classify/model-manifest.ts';
import { escapeHtml } from './html.ts';
import { plot } from './plot.ts';
import type { Score } from './scoring.ts';

export interface Curve {
  readonly label: Label;
  readonly points: readonly { threshold: number; recall: number; precision: number; f1: number; falseAlarmsPerHour: number }[];
}
/** The colour of each label, wherever it is drawn. */
export const colours: Record<Label, string> = { glass_break: '#0b7285', shout: '#c2255c', bang: '#e67700' };

/** One self-contained HTML page: figures, then precision against recall and F1 against false alarms, as SVG. */
export function evaluationPage(title: string, score: Score, curves: readonly Curve[]): string {
  const rows = labels.map((l) => {
    const s = score.perLabel[l];
    return `<tr><th>${l}</th><td>${s.reference}</td><td>${s.hit}</td><td>${s.falseAlarm}</td><td>${s.repeat}</td><td>${s.recall.toFixed(2)}</td><td>${s.precision.toFixed(2)}</td><td>${s.f1.toFixed(2)}</td></tr>`;
  });
  const most = Math.max(10, ...curves.flatMap((c) => c.points.map((p) => p.falseAlarmsPerHour)));
  const unit = { from: 0, to: 1, decimals: 2 };
  const series = (points: (of: Curve) => [number, number][]) => curves.map((c) => ({ name: c.label, colour: colours[c.label], dots: true, points: points(c) }));
  const precision = plot(
    { name: 'Recall', ...unit },
    { name: 'Precision', ...unit },
    series((c) => c.points.filter((p) => p.recall > 0).map((p) => [p.recall, p.precision])),
  );
  const alarms = plot(
    { name: 'False alarms per hour', from: 0, to: most },
    { name: 'F1', ...unit },
    series((c) => c.points.map((p) => [p.falseAlarmsPerHour, p.f1])),
  );
  const causes = Object.entries(score.falseAlarmCauses)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, n]) => `${escapeHtml(name)} ${n}`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#212529}table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #dee2e6;text-align:right}th:first-child{text-align:left}svg{max-width:100%;height:auto}</style>
<h1>${escapeHtml(title)}</h1>
<p><b>Macro F1 ${score.macroF1.toFixed(3)}</b>; ${score.falseAlarmsPerHour.toFixed(1)} false alarms per hour over ${score.hours.toFixed(2)} h, ${score.falseAlarmsPerHourQuiet.toFixed(1)} per hour in the ${score.quietHours.toFixed(2)} h without a target. Reported ${Math.round(score.latencySeconds.median * 1000)} ms after the onset in the median, ${Math.round(score.latencySeconds.p95 * 1000)} ms at the 95th percentile.</p>
<table><tr><th>label</th><th>reference</th><th>hits</th><th>false alarms</th><th>repeats</th><th>recall</th><th>precision</th><th>F1</th></tr>${rows.join('')}</table>
<p>Recall by signal-to-noise ratio: ${Object.entries(score.recallBySnr)
    .map(([snr, r]) => `${snr} dB ${r.toFixed(2)}`)
    .join(', ')}.</p>
<p>What false alarms were: ${causes.join(', ') || 'none'}.</p>
<h2>Precision and recall, as the opening threshold moves</h2>${precision}
<h2>F1 against false alarms per hour</h2>${alarms}
</html>
`;
}
