import { escapeHtml, pageInBothLanguages } from '../html.ts';
import { utcTime } from '../span.ts';
import type { Translate } from '../translate.ts';
import type { Line } from './check.ts';
import type { VerificationReport } from './report.ts';

/**
 * One self-contained page, French first and then English, to be printed or kept; the report itself is inside as JSON.
 */
export function reportPage(lines: readonly Line[], report: VerificationReport): string {
  const json = JSON.stringify(report).replaceAll('<', '\\u003c');
  const data = `<script type="application/json" id="report">${json}</script>`;
  return pageInBothLanguages(`${report.sensor}, ${report.time.slice(0, 10)}`, (t) => section(lines, report, t), { data });
}

function section(lines: readonly Line[], report: VerificationReport, t: Translate): string {
  const { site, sensor, time, version, bootId, digest, passed, failed, unchecked, state } = report;
  const facts = [
    [t('report.sensor'), sensor],
    [t('report.site'), site],
    [t('report.time'), utcTime(time, 'second')],
    [t('report.version'), version],
    [t('report.boot'), bootId],
    [t('report.digest'), digest],
  ];
  const verdict = {
    passed: t('report.verdict.passed', { passed }),
    failed: t('report.verdict.failed', { failed }),
    incomplete: t('report.verdict.incomplete', { unchecked }),
  }[state];
  const tables = (['sensor', 'listener', 'courier'] as const).map((part) => table(part, lines, t));
  const limits = [t('report.limits.time'), t('report.limits.hardware'), t('report.limits.law'), t('report.limits.hand')];
  return `<section lang="${t.language}" id="${t.language}">
<h1>${t('report.title')}</h1>
<dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(String(value))}</dd>`).join('')}</dl>
<p class="verdict ${state}">${verdict} <small>${t('privacy.summary', { passed, failed, unchecked })}</small></p>
<p>${t('report.idea')}</p>
${tables.join('\n')}
<h2>${t('report.limits')}</h2>
<ul>${limits.map((limit) => `<li>${limit}</li>`).join('')}</ul>
<p class="signed">${t('report.signed')}</p>
</section>`;
}

function table(part: Line['part'], lines: readonly Line[], t: Translate): string {
  const rows = lines
    .filter((line) => line.part === part)
    .map(
      ({ state, what, how, found, byHand }) =>
        `<tr class="${state}"><td class="state">${t(`privacy.state.${state}`)}</td><td><b>${escapeHtml(t.of(what))}</b><br><small>${escapeHtml(t.of(how))}</small></td><td>${escapeHtml(t.of(found))}</td><td><code>${escapeHtml(byHand)}</code></td></tr>`,
    );
  return `<h2>${t(`privacy.part.${part}`)}</h2>
<table><thead><tr><th></th><th>${t('report.check')}</th><th>${t('report.found')}</th><th>${t('report.byHand')}</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}
