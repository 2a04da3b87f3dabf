import { labels } from '../../classify/model-manifest.ts';
import { colours } from '../evaluation-page.ts';
import { escapeHtml as h, pageInBothLanguages } from '../html.ts';
import { plot } from '../plot.ts';
import { wholeMs } from '../selftest/trial.ts';
import { utcTime } from '../span.ts';
import type { MessageKey, Translate } from '../translate.ts';
import { fixed } from '../typography.ts';
import { type Complete, type Subject, verdictOf } from './report.ts';
import type { Signer } from './seal.ts';
import type { SelftestOutcome } from './stages.ts';

/**
 * One self-contained page, French first and then English, for the file: verdict, the three stages, the plots, how to
 * check the signature.
 */
export function commissionPage(stages: Complete, subject: Subject, signer: Signer): string {
  const title = `${subject.sensor}, ${subject.time.slice(0, 10)}`;
  return pageInBothLanguages(title, (t) => section(stages, subject, signer, t), { style: ownStyle });
}

const ownStyle = `
.verdict.accepted{background:#e6f4ea;border-color:#2b8a3e}.verdict.refused{background:#fdecea;border-color:#c92a2a}
.plots{display:flex;flex-wrap:wrap;gap:1rem}.plots svg{max-width:100%;height:auto}
tr.warn .state{color:#b35c00}tr.warn td{background:#fff9ef}tr.skip .state{color:#868e96}
table.three th:nth-child(2){width:30%}table.three th:nth-child(4){width:auto}pre{overflow-x:auto;background:#f1f3f5;padding:.6rem .8rem;font-size:12px}
.sign{display:grid;grid-template-columns:1fr 1fr 1fr;gap:2rem;margin-top:2.5rem}.sign div{border-top:1px solid #495057;padding-top:.3rem;color:#495057}
`;

function section(stages: Complete, subject: Subject, signer: Signer, t: Translate): string {
  const { doctor, selftest, privacy } = stages;
  const { site, sensor, version, bootId, time, clockSynchronised, model, configSha256 } = subject;
  const verdict = verdictOf(stages);
  const clock = t(clockSynchronised ? 'commission.clock.good' : 'commission.clock.bad');
  const facts: [MessageKey, string][] = [
    ['report.sensor', sensor],
    ['report.site', site],
    ['report.time', `${utcTime(time, 'second')} (${clock})`],
    ['report.version', version],
    ['commission.model', `${model.name} ${model.version}, ${model.sha256.slice(0, 16)}…`],
    ['commission.config', configSha256],
    ['report.boot', bootId],
    ['commission.key', signer.publicKeySha256],
  ];
  const doctorRows = doctor.map(({ check, state, found, hint }) =>
    row(state, t(`doctor.state.${state}`), t(`doctor.name.${check}`), t.of(found), hint ? t.of(hint) : ''),
  );
  const privacyRows = privacy.map(({ state, part, what, found }) =>
    row(state, t(`privacy.state.${state}`), t(`privacy.part.${part}`), t.of(what), t.of(found)),
  );
  return `<section lang="${t.language}" id="${t.language}">
<h1>${h(t('commission.report'))}</h1>
<dl>${facts.map(([key, value]) => `<dt>${h(t.of({ key, values: {} }))}</dt><dd>${h(value)}</dd>`).join('')}</dl>
<p class="verdict ${verdict}">${h(t(`commission.verdict.${verdict}`))}</p>
<h2>1. ${h(t('commission.stage.doctor'))}</h2>
${table(doctorRows, t)}
<h2>2. ${h(t('commission.stage.selftest'))}</h2>
${selftestPart(selftest, subject, t)}
<h2>3. ${h(t('commission.stage.privacy'))}</h2>
${table(privacyRows, t)}
<h2>${h(t('commission.check'))}</h2>
<p>${h(t('commission.check.how'))}</p>
<pre>${h(verification(signer, subject.time))}</pre>
<div class="sign">${(['technician', 'operator', 'date'] as const).map((who) => `<div>${h(t(`commission.sign.${who}`))}</div>`).join('')}</div>
</section>`;
}

function selftestPart(outcome: SelftestOutcome, { thresholds }: Subject, t: Translate): string {
  const { ok, sound, label, confidence, latencyMs, brokeAt, reason = '', hint = '', trace } = outcome;
  const lines = [t(`commission.sound.${sound}`)];
  const way = latencyMs.returned === undefined ? 'commission.selftest.oneWay' : 'commission.selftest.ok';
  if (ok && label) lines.push(t(way, { label: t(`label.${label}`), confidence: fixed(confidence ?? 0, 2), ms: wholeMs(latencyMs) }));
  else if (brokeAt) lines.push(`${t('selftest.broke', { link: t(`selftest.link.${brokeAt}`), reason: t.of(reason) })}. ${t('try')} ${t.of(hint)}`);
  const steps = Object.entries(latencyMs).map(([step, ms]) => `${t(`selftest.step.${step as 'heard'}`)} ${t.measure(ms, 'ms')}`);
  if (steps.length > 0) lines.push(t('commission.selftest.steps', { steps: t.list(steps) }));
  const paragraphs = lines.map((line) => `<p>${h(line)}</p>`).join('');
  if (!trace || trace.levelDb.length === 0) return paragraphs;
  const end = trace.levelDb.length * trace.stepSeconds;
  const x = { name: t('commission.plot.seconds'), from: 0, to: end, decimals: 1 };
  const points = (values: readonly number[]) => values.map((value, i): [number, number] => [(i + 0.5) * trace.stepSeconds, value]);
  const mark = trace.onsetSeconds === undefined ? {} : { mark: { at: Math.max(0, trace.onsetSeconds), name: t('commission.plot.onset') } };
  const options = { width: 560, height: 280, number: t.number, ...mark };
  const level = plot(x, { name: t('commission.plot.level'), from: -100, to: 0 }, [{ name: 'dBFS', colour: '#364fc7', points: points(trace.levelDb) }], options);
  const scores = plot(
    x,
    { name: t('commission.plot.scores'), from: 0, to: 1, decimals: 2 },
    labels.map((name) => ({ name: t(`label.${name}`), colour: colours[name], dots: true, points: points(trace.scores[name]), threshold: thresholds[name] })),
    options,
  );
  return `${paragraphs}<div class="plots">${level}${scores}</div><p><small>${h(t('commission.plot.note'))}</small></p>`;
}

function row(state: string, stateText: string, name: string, found: string, hint: string): string {
  return `<tr class="${state}"><td class="state">${h(stateText)}</td><td>${h(name)}</td><td>${h(found)}${hint ? `<br><small>${h(hint)}</small>` : ''}</td></tr>`;
}

function table(rows: readonly string[], t: Translate): string {
  return `<table class="three"><thead><tr><th></th><th>${h(t('commission.checked'))}</th><th>${h(t('report.found'))}</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

/**
 * What a reader types, in the folder of the report of `time`. Years later the certificate has ended; it was good then.
 */
export function verification(signer: Signer, time: string): string {
  const seconds = Math.floor(Date.parse(time) / 1000);
  return [
    ...(signer.certificate
      ? [`openssl verify -attime ${seconds} -CAfile ca.pem -untrusted sensor.pem sensor.pem`, 'openssl x509 -in sensor.pem -pubkey -noout | diff - sensor.pub']
      : []),
    'openssl dgst -sha256 -verify sensor.pub -signature report.json.sig report.json',
    'openssl dgst -sha256 -verify sensor.pub -signature report.html.sig report.html',
  ].join('\n');
}
