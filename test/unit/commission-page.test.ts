import { expect, test } from 'vitest';
import { commissionPage } from '../../agent/cli/commission/page.ts';
import type { Complete, Subject } from '../../agent/cli/commission/report.ts';
import type { Signer } from '../../agent/cli/commission/seal.ts';
import { fail as doctorFail, pass as doctorPass } from '../../agent/cli/doctor/check.ts';
import { fail, type Line, unchecked } from '../../agent/cli/privacy/check.ts';
import { text } from '../../agent/cli/translate.ts';
import { bootId } from '../support/samples.ts';

const subject: Subject = {
  site: 'quai',
  sensor: 'post-1',
  version: '1<2',
  bootId,
  time: '2026-11-20T10:00:30.000Z',
  clockSynchronised: true,
  model: { name: 'street', version: '1', sha256: 'd'.repeat(64) },
  thresholds: { glass_break: 0.8, shout: 0.7, bang: 0.6 },
  configSha256: 'e',
};
const signer: Signer = { publicKey: 'public', publicKeySha256: 'f', sign: () => Buffer.from('signed') };
const heard: Complete['selftest'] = {
  ok: true,
  sound: 'person',
  label: 'shout',
  confidence: 0.91,
  latencyMs: { heard: 400, stored: 2, accepted: 5, returned: 9 },
};
const line = (found: Pick<Line, 'state' | 'found'>): Line => ({
  check: 'process',
  part: 'courier',
  what: text('privacy.notAllowed'),
  how: text('privacy.notAllowed'),
  byHand: '',
  ...found,
});
/** The English half of the page. */
const pageOf = (stages: Partial<Complete>, of: Partial<Subject> = {}) =>
  commissionPage({ doctor: [], selftest: heard, privacy: [], ...stages }, { ...subject, ...of }, signer).split('<section lang="en"')[1] ?? '';

test('the page of a report has the verdict and the state of each check as they are', () => {
  const page = pageOf({
    doctor: [
      { check: 'network', ms: 1, ...doctorPass('doctor.network.local') },
      { check: 'port', ms: 1, ...doctorFail('doctor.network.none') },
    ],
    privacy: [line(fail('privacy.gone')), line(unchecked('privacy.notAllowed'))],
  });
  expect(page).toContain('<p class="verdict refused">Not accepted: a check failed.</p>');
  const states = Array.from(page.matchAll(/<tr class="(\w+)"><td class="state">([^<]+)</g), ([, state, said]) => [state, said]);
  expect(states).toEqual([
    ['pass', 'ok'],
    ['fail', 'FAIL'],
    ['fail', 'FAIL'],
    ['unchecked', 'unchecked'],
  ]);
  expect(pageOf({})).toContain('<p class="verdict accepted">Accepted: every check passed.</p>');
});

test('the page of a report says how far the test sound came, and how far the clock can be trusted', () => {
  const { returned: _, ...oneWay } = heard.latencyMs;
  expect(pageOf({})).toContain('From the onset to the broker and back: 411 ms.');
  expect(pageOf({ selftest: { ...heard, latencyMs: oneWay } })).toContain('From the onset to the broker: 407 ms; the way back was not tested.');
  const broken = pageOf({ selftest: { ...heard, ok: false, brokeAt: 'acl', reason: 'no way back', hint: 'the access list' } });
  expect(broken).toContain('the chain broke at the ACL: no way back. Try: the access list</p>');
  expect(broken).not.toContain('Recognised');
  expect(pageOf({})).toContain('2026-11-20 10:00:30 UTC (clock synchronised)');
  expect(pageOf({}, { clockSynchronised: false })).toContain('2026-11-20 10:00:30 UTC (clock not synchronised)');
});

test('what a broker or a file has said is text on the page of a report, not HTML', () => {
  const said = '<script>alert("x")</script>';
  const page = pageOf({
    doctor: [{ check: 'port', ms: 1, state: 'fail', found: text('doctor.defect', { reason: said }), hint: text('doctor.defect', { reason: said }) }],
    selftest: { ...heard, ok: false, brokeAt: 'broker', reason: said, hint: said },
    privacy: [line(fail('privacy.broke', { reason: said }))],
  });
  expect(page).not.toMatch(/<script|"x"/);
  expect(page.match(/&#60;script&#62;/g)).toHaveLength(5);
  expect(page).toContain('<dd>1&#60;2</dd>');
});
