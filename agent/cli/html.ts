import { openTranslate, type Translate } from './translate.ts';

/** Text as it may stand in HTML and SVG, also inside an attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

interface PageParts {
  /** CSS beside what all pages have. */
  readonly style?: string;
  /** An element that holds data, at the end of the page. */
  readonly data?: string;
}

/**
 * One self-contained page that runs no code and fetches nothing, French first and then English, to be printed or kept.
 */
export function pageInBothLanguages(title: string, section: (t: Translate) => string, { style: more = '', data = '' }: PageParts = {}): string {
  const sections = (['fr', 'en'] as const).map((language) => section(openTranslate(language)));
  return `<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Tocsin: ${escapeHtml(title)}</title>
<style>${style}${more}</style></head>
<body><nav><a href="#fr">Français</a> · <a href="#en">English</a></nav>
${sections.join('\n')}
${data}</body></html>
`;
}

const style = `
:root{color-scheme:only light}
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
.signed{margin-top:3rem;border-top:1px solid #495057;width:22rem;padding-top:.3rem;color:#495057;break-before:avoid}
@media print{nav{display:none}body{margin:0;font-size:11px}section+section{break-before:page;border:0}tr{break-inside:avoid}code{font-size:9px}}
@media(max-width:50rem){table,tbody,tr,td{display:block}thead{display:none}td{border:0;padding:.1rem 0}tr{border-top:1px solid #dee2e6;padding:.5rem 0;display:block}}
`;
