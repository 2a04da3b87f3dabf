import { escapeHtml } from '../html.ts';
import { openTranslate, type Translate } from '../translate.ts';
import type { Line } from './check.ts';
import type { Report } from './report.ts';

/** One self-contained page, French first and then English, to be printed or kept; the report itself is inside as JSON. */
export function reportPage(lines: readonly Line[], report: Report): string {
  const parts = (['fr', 'en'] as const).map((language) => section(lines, report, openTranslate(language)));
  const json = JSON.stringify(report).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Tocsin: ${escapeHtml(report.sensor)}, ${escapeHtml(report.time.slice(0, 10))}</title>
<style>${style}</style></head>
<body><nav><a href="#fr">Français</a> · <a href="#en">English</a></nav>
${parts.join('\n')}
<script type="application/json" id="report">${json}</script>
</body></html>
`;
}

function section(lines: readonly Line[], report: Report, t: Translate): string {
  const { site, sensor, time, version, bootId, digest, passed, failed, unchecked, state } = report;
  const facts = [
    [t('report.sensor'), sensor],
    [t('report.site'), site],
    [t('report.time'), `${time.slice(0, 19).replace('T', ' ')} UTC`],
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

export const style = `
body{font:15px/1.45 system-ui,"DejaVu Sans",sans-serif;max-width:70rem;margin:1.5rem auto;padding:0 1rem;color:#1c2024}
section+section{border-top:3px double #adb5bd;margin-top:3rem;padding-top:1rem}
h1{font-size:1.6rem;margin:.2rem 0 1rem}h2{font-size:1.1rem;margin:1.8rem 0 .4rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:0}dt{color:#495057}dd{margin:0;overflow-wrap:anywhere}
.verdict{font-size:1.2rem;font-weight:600;padding:.7rem 1rem;border-left:.5rem solid}
.verdict small{display:block;font-weight:400;font-size:.85rem}
.verdict.passed{background:#e6f4ea;border-color:#2b8a3e}.verdict.failed{background:#fdecea;border-color:#c92a2a}.verdict.incomplete{background:#fff4e0;border-color:#e67700}
table{border-collapse:collapse;width:100%;table-layout:fixed}th{text-align:left;font-weight:500;color:#495057;font-size:.85rem}
th:nth-child(1){width:6rem}th:nth-child(2){width:34%}th:nth-child(4){width:30%}
td{border-top:1px solid #dee2e6;padding:.45rem .6rem .45rem 0;vertical-align:top;overflow-wrap:anywhere}
small{color:#5c636a}code{font:12px/1.4 ui-monospace,"DejaVu Sans Mono",monospace}
.state{font-weight:600}tr.pass .state{color:#2b8a3e}tr.fail .state{color:#c92a2a}tr.unchecked .state{color:#b35c00}
tr.fail td{background:#fdecea}tr.unchecked td{background:#fff9ef}
.signed{margin-top:3rem;border-top:1px solid #495057;width:22rem;padding-top:.3rem;color:#495057}
@media print{nav{display:none}body{margin:0;font-size:11px}section+section{break-before:page;border:0}tr{break-inside:avoid}code{font-size:9px}}
@media(max-width:50rem){table,tbody,tr,td{display:block}thead{display:none}td{border:0;padding:.1rem 0}tr{border-top:1px solid #dee2e6;padding:.5rem 0;display:block}}
`;
