import { type Label, labels } from '../classify/model-manifest.ts';
import { escapeHtml } from './html.ts';
import type { Score } from './scoring.ts';

export interface Curve {
  readonly label: Label;
  readonly points: readonly { threshold: number; recall: number; precision: number; f1: number; falseAlarmsPerHour: number }[];
}
const colours: Record<Label, string> = { glass_break: '#0b7285', shout: '#c2255c', bang: '#e67700' };

/** One self-contained HTML page: figures, then precision against recall and F1 against false alarms, as SVG. */
export function evaluationPage(title: string, score: Score, curves: readonly Curve[]): string {
  const rows = labels.map((l) => {
    const s = score.perLabel[l];
    return `<tr><th>${l}</th><td>${s.reference}</td><td>${s.hit}</td><td>${s.falseAlarm}</td><td>${s.repeat}</td><td>${s.recall.toFixed(2)}</td><td>${s.precision.toFixed(2)}</td><td>${s.f1.toFixed(2)}</td></tr>`;
  });
  const most = Math.max(10, ...curves.flatMap((c) => c.points.map((p) => p.falseAlarmsPerHour)));
  const precision = plot(
    'Recall',
    'Precision',
    1,
    curves.map((c) => ({ label: c.label, points: c.points.filter((p) => p.recall > 0).map((p) => [p.recall, p.precision]) })),
  );
  const alarms = plot(
    'False alarms per hour',
    'F1',
    most,
    curves.map((c) => ({ label: c.label, points: c.points.map((p) => [p.falseAlarmsPerHour, p.f1]) })),
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

function plot(x: string, y: string, most: number, series: { label: Label; points: number[][] }[]): string {
  const [width, height, left, bottom] = [640, 360, 60, 50];
  const px = (v: number) => left + (v / most) * (width - left - 130);
  const py = (v: number) => height - bottom - v * (height - bottom - 20);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const grid = ticks.map(
    (t) =>
      `<path d="M${left} ${py(t)}H${px(most)}M${px(t * most)} ${py(0)}V${py(1)}" stroke="#e9ecef"/><text x="${left - 8}" y="${py(t) + 4}" text-anchor="end">${t}</text><text x="${px(t * most)}" y="${py(0) + 18}" text-anchor="middle">${most > 1 ? Math.round(t * most) : t}</text>`,
  );
  const lines = series.map(({ label, points }, i) => {
    const path = points.map(([a = 0, b = 0]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(' ');
    const dots = points.map(([a = 0, b = 0]) => `<circle cx="${px(a).toFixed(1)}" cy="${py(b).toFixed(1)}" r="2.5" fill="${colours[label]}"/>`).join('');
    return `<polyline points="${path}" fill="none" stroke="${colours[label]}" stroke-width="2"/>${dots}<text x="${px(most) + 12}" y="${40 + i * 22}" fill="${colours[label]}">${label}</text>`;
  });
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-size="13" font-family="system-ui,sans-serif" role="img" aria-label="${y} against ${x}">${grid.join('')}${lines.join('')}<text x="${(left + px(most)) / 2}" y="${height - 8}" text-anchor="middle">${x}</text><text transform="translate(16 ${(py(0) + py(1)) / 2}) rotate(-90)" text-anchor="middle">${y}</text></svg>`;
}
