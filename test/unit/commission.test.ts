import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commissionPage } from '../../agent/cli/commission/page.ts';
import { openProgress } from '../../agent/cli/commission/progress.ts';
import { type Complete, untried, verdictOf } from '../../agent/cli/commission/report.ts';
import { openSigner } from '../../agent/cli/commission/seal.ts';
import { configSchema } from '../../agent/config/schema.ts';
import { fixedClock } from '../support/samples.ts';

const ok = { state: 'pass' } as unknown as Complete['privacy'][number];
const heard: Complete['selftest'] = { ok: true, sound: 'person', latencyMs: { heard: 400, stored: 2, accepted: 5, returned: 3 } };
const stages = (selftest: Partial<Complete['selftest']>, state: 'pass' | 'unchecked' | 'fail' = 'pass'): Complete => ({
  doctor: [],
  selftest: { ...heard, ...selftest },
  privacy: [ok, { ...ok, state }],
});
const { returned: _, ...oneWay } = heard.latencyMs;

test.each<[string, Complete, string, string[]]>([
  ['every stage passed', stages({}), 'accepted', []],
  ['a loudspeaker as sound source', stages({ sound: 'speaker' }), 'accepted', []],
  ['a file as sound source', stages({ sound: 'file' }), 'incomplete', ['selftest']],
  ['no message back from the broker', stages({ latencyMs: oneWay }), 'incomplete', ['selftest']],
  ['an unchecked privacy check', stages({ sound: 'file' }, 'unchecked'), 'incomplete', ['selftest', 'privacy']],
  ['a failed privacy check', stages({}, 'fail'), 'refused', []],
  ['a failed self-test', stages({ ok: false }), 'refused', []],
])('the verdict of commission with %s', (_name, found, verdict, open) => {
  expect(verdictOf(found)).toBe(verdict);
  expect(untried(found)).toEqual(open);
});

test('stages that an aborted run left are kept if they passed; from a file that holds no stages none are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-progress-'));
  const open = (clock = fixedClock()) => openProgress(folder, 'post-1', 'a digest', '1', clock);
  open().keep({ doctor: [], selftest: { ...heard, ok: false } });
  expect(open().kept).toEqual({ doctor: [] });
  expect(open(fixedClock({ bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' })).kept, 'of another boot').toEqual({});
  const later = (minutes: number) => open(fixedClock({ monotonicMs: () => 30_000 + minutes * 60_000, wallMs: () => 0 })).kept;
  expect([later(29), later(30)], 'half an hour by the monotonic clock').toEqual([{ doctor: [] }, {}]);
  const path = join(folder, 'commission-post-1.partial.json');
  const whole = JSON.parse(readFileSync(path, 'utf8'));
  for (const stages of [null, { doctor: 5 }, undefined]) {
    writeFileSync(path, JSON.stringify({ ...whole, stages }));
    expect(open().kept).toEqual({});
  }
});

test('a sensor with a pending certificate request is told to install the certificate, not to make another request', () => {
  const keyFile = join(mkdtempSync(join(tmpdir(), 'tocsin-signer-')), 'sensor.key');
  const { mqtt } = configSchema.parse({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://127.0.0.1:1', certFile: 'sensor.pem', keyFile } });
  const hint = (tryHint: string) => expect.objectContaining({ tryHint });
  expect(() => openSigner(mqtt)).toThrow(hint('sudo tocsin provision makes one'));
  writeFileSync(`${keyFile}.new`, 'a key');
  expect(() => openSigner(mqtt)).toThrow(hint('its request waits for a certificate: sudo tocsin provision --install CERTIFICATE --ca CA'));
});

test('in a grey print of the report the scores of the labels and their thresholds can be told apart: each has marks of one shape', () => {
  const trace = { stepSeconds: 0.25, levelDb: [-40, -20], scores: { glass_break: [0.9, 0.9], shout: [0.2, 0.2], bang: [0, 0] } };
  const subject = { site: 'a', sensor: 'b', version: '1', bootId: 'c', time: '2026-01-01T00:00:00Z', clockSynchronised: true };
  const model = { name: 'street', version: '1', sha256: 'd' };
  const of = { ...subject, model, thresholds: { glass_break: 0.8, shout: 0.7, bang: 0.6 }, configSha256: 'e' };
  const page = commissionPage({ doctor: [], selftest: { ...heard, trace }, privacy: [] }, of, { publicKeySha256: 'f' } as Parameters<typeof commissionPage>[2]);
  const marks = Array.from(page.matchAll(/<path d="M\S+ \S+?(m[^"]+)" fill="(#\w+)">/g), ([, shape, colour]) => `${shape} ${colour}`);
  const counts = [...Map.groupBy(marks, (mark) => mark)].map(([, { length }]) => length);
  expect(counts).toEqual([8, 8, 8]); // in two languages: two points, the threshold, the key
  expect(new Set(marks.map((mark) => mark.split(' #')[0])).size).toBe(3);
  expect(page).not.toContain('<title></title>');
});
